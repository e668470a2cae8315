/* Key files with GLib: each file of the arguments is parsed, and every value read by its name. */

#include <glib.h>

#include "serve.h"

static int files;
static unsigned char *texts[64];
static size_t lens[64];
static gboolean is_checked = TRUE;

/* Strings end with 0xff in the digest; a value that cannot be read is 0xfe. */
static void digest_string(const char *string) {
    if (is_checked) {
        digest_add(string ? string : "\xfe", string ? strlen(string) : 1);
        digest_add("\xff", 1);
    }
}

static void read_group(GKeyFile *file, const char *group) {
    gchar **keys = g_key_file_get_keys(file, group, NULL, NULL);
    for (gchar **key = keys; *key; key++) {
        gchar *value = g_key_file_get_string(file, group, *key, NULL);
        digest_string(*key);
        digest_string(value);
        g_free(value);
    }
    g_strfreev(keys);
}

static void read_all(void) {
    for (int n = 0; n < files; n++) {
        GKeyFile *file = g_key_file_new();
        if (!g_key_file_load_from_data(file, (const char *)texts[n], lens[n], G_KEY_FILE_KEEP_TRANSLATIONS, NULL)) {
            fail("GLib refuses a file");
        }
        gchar **groups = g_key_file_get_groups(file, NULL);
        for (gchar **group = groups; *group; group++) {
            digest_string(*group);
            read_group(file, *group);
        }
        g_strfreev(groups);
        g_key_file_free(file);
    }
}

int main(int count, char **arguments) {
    files = count - 1;
    for (int n = 0; n < files && n < 64; n++) {
        texts[n] = load(arguments[n + 1], &lens[n]);
    }
    read_all();
    is_checked = FALSE;
    return serve(read_all);
}
