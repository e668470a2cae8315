/* DES and RSA-OAEP with OpenSSL.
 *
 *   openssl des FILE         the file: 8 bytes of the key, 16 of the challenge; gives the response
 *   openssl open KEY FILE    a private key in PKCS #8 DER, and a sealed ticket; gives the ticket
 */

/* DES by itself is an old function there. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/des.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "serve.h"

static unsigned char *input;
static size_t input_len;
static unsigned char output[1024];
static size_t output_len;
static EVP_PKEY *private_key;

static void respond(void) {
    DES_key_schedule schedule;
    DES_set_key_unchecked((const_DES_cblock *)input, &schedule);
    for (int at = 0; at < 16; at += 8) {
        DES_ecb_encrypt((const_DES_cblock *)(input + 8 + at), (DES_cblock *)(output + at), &schedule, DES_ENCRYPT);
    }
    output_len = 16;
}

static void open_ticket(void) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(private_key, NULL);
    output_len = sizeof output;
    if (!context || EVP_PKEY_decrypt_init(context) <= 0
        || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) <= 0
        || EVP_PKEY_decrypt(context, output, &output_len, input, input_len) <= 0) {
        fail("OpenSSL does not open the ticket");
    }
    EVP_PKEY_CTX_free(context);
}

int main(int count, char **arguments) {
    void (*operation)(void) = respond;
    if (count < 3) {
        fail("des FILE, or open KEY FILE");
    }
    input = load(arguments[count - 1], &input_len);
    if (strcmp(arguments[1], "open") == 0) {
        size_t len;
        const unsigned char *der = load(arguments[2], &len);
        private_key = d2i_AutoPrivateKey(NULL, &der, (long)len);
        if (!private_key) {
            fail("no private key");
        }
        operation = open_ticket;
    } else if (input_len != 24) {
        fail("a key and a challenge are 24 bytes");
    }
    operation();
    digest_add(output, output_len);
    return serve(operation);
}
