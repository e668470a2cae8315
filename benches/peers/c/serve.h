/* What the programs here share. Each prints one line that says what its operation gives, and then answers each number of
 * repetitions on its standard input with the nanoseconds that these take. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* FNV-1a of what an operation gives, in its order. */
static uint64_t digest = 0xcbf29ce484222325;

static inline void digest_add(const void *bytes, size_t len) {
    const unsigned char *byte = bytes;
    while (len--) {
        digest = (digest ^ *byte++) * 0x100000001b3;
    }
}

static inline void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The whole of a file. */
static inline unsigned char *load(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) {
        fail(path);
    }
    *len = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*len + 1);
    if (!bytes || fread(bytes, 1, *len, file) != *len) {
        fail(path);
    }
    bytes[*len] = 0;
    fclose(file);
    return bytes;
}

/* Says what was given, and repeats the operation until nobody asks for more. */
static inline int serve(void (*operation)(void)) {
    printf("%016llx\n", (unsigned long long)digest);
    fflush(stdout);
    unsigned long repetitions;
    while (scanf("%lu", &repetitions) == 1) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned long n = 0; n < repetitions; n++) {
            operation();
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
        fflush(stdout);
    }
    return 0;
}
