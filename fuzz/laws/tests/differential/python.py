"""Answers questions of `differential.rs`, a line of JSON each: Nova's way to find a token, by urllib and http.cookies as
Nova calls them; DES and AES by OpenSSL's libcrypto; Diffie-Hellman by Python's integers."""
import ctypes
import hashlib
import json
import sys
from http import cookies
from urllib import parse

crypto = ctypes.CDLL("libcrypto.so.3")
crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
crypto.EVP_aes_128_ecb.restype = ctypes.c_void_p
# RFC 3526, group 14.
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
SIZE = 256


def nova(question):
    """Nova's websocketproxy, new_websocket_client: the query, else the cookie."""
    try:
        query = parse.urlparse(question["target"]).query
        token = parse.parse_qs(query).get("token", [""]).pop()
    except ValueError:
        return {"skipped": "not for urlparse"}
    if not token and question["cookie"]:
        cookie = cookies.SimpleCookie()
        for header in question["cookie"].split(";"):
            try:
                cookie.load(header)
            except cookies.CookieError:
                continue
        if "token" in cookie:
            token = cookie["token"].value
    return {"token": token}


def des(question):
    """VNC's: each byte of the key with its bits in the other order."""
    password = bytes.fromhex(question["password"])[:8].ljust(8, b"\0")
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password)
    schedule = ctypes.create_string_buffer(128)
    crypto.DES_set_key_unchecked(ctypes.c_char_p(key), schedule)
    challenge, response = bytes.fromhex(question["challenge"]), b""
    for half in (challenge[:8], challenge[8:]):
        out = ctypes.create_string_buffer(8)
        crypto.DES_ecb_encrypt(ctypes.create_string_buffer(half, 8), out, schedule, 1)
        response += out.raw
    return {"response": response.hex()}


def dh(question):
    """What the server offers: generator, size, prime, public value."""
    public = pow(2, int(question["private"], 16), PRIME)
    offer = (2).to_bytes(2, "big") + SIZE.to_bytes(2, "big") + PRIME.to_bytes(SIZE, "big") + public.to_bytes(SIZE, "big")
    return {"offer": offer.hex()}


def aes(key, sealed):
    context, out, length = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.create_string_buffer(256), ctypes.c_int()
    crypto.EVP_DecryptInit_ex(context, ctypes.c_void_p(crypto.EVP_aes_128_ecb()), None, key, None)
    crypto.EVP_CIPHER_CTX_set_padding(context, 0)
    crypto.EVP_DecryptUpdate(context, out, ctypes.byref(length), sealed, len(sealed))
    crypto.EVP_CIPHER_CTX_free(context)
    return out.raw[: len(sealed)]


def ard(question):
    response = bytes.fromhex(question["response"])
    sealed, public = response[:128], int.from_bytes(response[128:], "big")
    shared = pow(public, int(question["private"], 16), PRIME).to_bytes(SIZE, "big")
    plain = aes(hashlib.md5(shared).digest(), sealed)
    user, password = plain[:64].split(b"\0")[0], plain[64:].split(b"\0")[0]
    return {"user": user.hex(), "password": password.hex()}


for line in sys.stdin:
    question = json.loads(line)
    answer = {"nova": nova, "des": des, "dh": dh, "ard": ard}[question["what"]](question)
    print(json.dumps(answer))
