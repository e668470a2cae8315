/* A server's side with libvncserver.
 *
 *   libvncserver encrypt FILE      the file: 8 bytes of the password, 16 of the challenge; gives the response
 *   libvncserver messages FILE     a client's messages; gives its pointer and key events
 *   libvncserver handshake FILE    30 bytes of a client up to its ClientInit, and the ServerInit to answer with; the
 *                                  response is not looked at; gives the ServerInit that was sent
 */

#include "memory.h"

#include <rfb/rfb.h>

static unsigned char *input;
static size_t input_len;
static rfbScreenInfoPtr screen;
static rfbClientPtr client;
static int is_checked = 1;

static void encrypt(void) {
    unsigned char challenge[16];
    char password[9] = {0};
    memcpy(password, input, 8);
    memcpy(challenge, input + 8, 16);
    rfbEncryptBytes(challenge, password);
    memcpy(sent, challenge, 16);
    sent_len = 16;
}

static void pointer_moved(int buttons, int x, int y, rfbClientPtr from) {
    (void)from;
    unsigned char event[] = {5, buttons, x >> 8, x, y >> 8, y};
    if (is_checked) {
        digest_add(event, sizeof event);
    }
}

static void key_pressed(rfbBool is_down, rfbKeySym key, rfbClientPtr from) {
    (void)from;
    unsigned char event[] = {4, is_down, key >> 24, key >> 16, key >> 8, key};
    if (is_checked) {
        digest_add(event, sizeof event);
    }
}

static void receive_all(const unsigned char *bytes, size_t len) {
    received = bytes;
    received_left = len;
    sent_len = 0;
    while (received_left) {
        rfbProcessClientMessage(client);
        if (client->sock < 0) {
            fail("libvncserver has closed the connection");
        }
    }
}

static void messages(void) {
    receive_all(input, input_len);
}

static rfbBool accept_any(rfbClientPtr from, const char *response, int len) {
    (void)from, (void)response, (void)len;
    return TRUE;
}

static void handshake(void) {
    received = input;
    received_left = 30;
    client = rfbNewClient(screen, connection);
    if (!client) {
        fail("libvncserver takes no client");
    }
    receive_all(received, received_left);
    rfbClientConnectionGone(client);
}

static unsigned two(const unsigned char *bytes) {
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/* A screen as a ServerInit describes it. */
static void make_screen(const unsigned char *init, size_t len) {
    int width = (int)two(init), height = (int)two(init + 2);
    rfbPixelFormat *format;
    screen = rfbGetScreen(NULL, NULL, width, height, 8, 3, 4);
    screen->frameBuffer = calloc((size_t)width * (size_t)height, 4);
    format = &screen->serverFormat;
    format->bitsPerPixel = init[4], format->depth = init[5], format->bigEndian = init[6], format->trueColour = init[7];
    format->redMax = two(init + 8), format->greenMax = two(init + 10), format->blueMax = two(init + 12);
    format->redShift = init[14], format->greenShift = init[15], format->blueShift = init[16];
    screen->desktopName = strndup((const char *)init + 24, len - 24);
    screen->ptrAddEvent = pointer_moved;
    screen->kbdAddEvent = key_pressed;
    screen->deferPtrUpdateTime = 0;
    screen->authPasswdData = (void *)"not looked at";
    screen->passwordCheck = accept_any;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fail("encrypt FILE, messages FILE or handshake FILE");
    }
    input = load(arguments[2], &input_len);
    rfbLogEnable(FALSE);
    if (strcmp(arguments[1], "encrypt") == 0) {
        encrypt();
        digest_add(sent, sent_len);
        return serve(encrypt);
    }
    connect_memory();
    if (strcmp(arguments[1], "handshake") == 0) {
        size_t init_len = input_len - 30;
        make_screen(input + 30, init_len);
        handshake();
        digest_add(sent + sent_len - init_len, init_len);
        return serve(handshake);
    }
    static const unsigned char init[24] = {8, 0, 5, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0};
    make_screen(init, sizeof init);
    received = (const unsigned char *)"RFB 003.008\n";
    received_left = 12;
    client = rfbNewClient(screen, connection);
    client->state = RFB_NORMAL;
    messages();
    is_checked = 0;
    return serve(messages);
}
