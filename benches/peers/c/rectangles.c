/* Where rectangles end, as libvncclient reads them.
 *
 *   rectangles FILE    streams of a server, each behind its length, the width and height of its screen (four, two and two
 *                      bytes, the first the highest) and the bytes of a pixel
 *
 * Prints a line for each stream: the offset behind each rectangle that shows a part of the picture.
 */

#include "memory.h"

#include <rfb/rfbclient.h>

static size_t stream_len;

static void quiet(const char *format, ...) {
    (void)format;
}

static void got_rectangle(rfbClient *client, int x, int y, int width, int height) {
    (void)x, (void)y, (void)width, (void)height;
    printf("%zu ", stream_len - received_left - client->buffered);
}

static void read_stream(const unsigned char *bytes, int width, int height, int pixel) {
    rfbClient *client = rfbGetClient(pixel == 4 ? 8 : pixel == 2 ? 5 : 2, 3, pixel);
    client->GotFrameBufferUpdate = got_rectangle;
    client->sock = connection;
    client->width = width;
    client->height = height;
    client->MallocFrameBuffer(client);
    received = bytes;
    received_left = stream_len;
    while (HandleRFBServerMessage(client)) {
        sent_len = 0;
    }
    putchar('\n');
    free(client->frameBuffer);
    rfbClientCleanup(client);
}

int main(int count, char **arguments) {
    size_t len;
    if (count != 2) {
        fail("rectangles FILE");
    }
    rfbClientLog = quiet;
    rfbClientErr = quiet;
    connect_memory();
    const unsigned char *at = load(arguments[1], &len), *end = at + len;
    while (at < end) {
        stream_len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        read_stream(at + 9, at[4] << 8 | at[5], at[6] << 8 | at[7], at[8]);
        at += 9 + stream_len;
    }
    return 0;
}
