/* A viewer's side with libvncclient.
 *
 *   libvncclient updates FILE      a server's updates of a screen of 640 by 480; gives the places of all rectangles
 *   libvncclient handshake FILE    8 bytes of the password, and what a server with VNC authentication says up to its
 *                                  ServerInit; gives what is answered
 */

#include "memory.h"

#include <rfb/rfbclient.h>

static unsigned char *input;
static size_t input_len;
static rfbClient *client;
static int is_checked = 1;

static void quiet(const char *format, ...) {
    (void)format;
}

static void got_rectangle(rfbClient *from, int x, int y, int width, int height) {
    (void)from;
    unsigned char place[] = {x >> 8, x, y >> 8, y, width >> 8, width, height >> 8, height};
    if (is_checked) {
        digest_add(place, sizeof place);
    }
}

static void updates(void) {
    received = input;
    received_left = input_len;
    sent_len = 0;
    while (received_left || client->buffered) {
        if (!HandleRFBServerMessage(client)) {
            fail("libvncclient refuses an update");
        }
    }
}

static char *password(rfbClient *from) {
    (void)from;
    return strndup((const char *)input, 8);
}

static void handshake(void) {
    received = input + 8;
    received_left = input_len - 8;
    sent_len = 0;
    if (!InitialiseRFBConnection(client)) {
        fail("libvncclient ends the handshake");
    }
    free(client->desktopName);
    client->desktopName = NULL;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fail("updates FILE, or handshake FILE");
    }
    input = load(arguments[2], &input_len);
    rfbClientLog = quiet;
    rfbClientErr = quiet;
    client = rfbGetClient(8, 3, 4);
    client->GetPassword = password;
    client->GotFrameBufferUpdate = got_rectangle;
    connect_memory();
    client->sock = connection;
    if (strcmp(arguments[1], "handshake") == 0) {
        static const uint32_t only[] = {rfbVncAuth, 0};
        SetClientAuthSchemes(client, only, 1);
        handshake();
        digest_add(sent, sent_len);
        return serve(handshake);
    }
    client->width = 640;
    client->height = 480;
    client->MallocFrameBuffer(client);
    updates();
    is_checked = 0;
    return serve(updates);
}
