"""Asks the real spice-gtk about proxies and the real OpenSSL about entries of names: each line of standard input is
JSON and gets a line of JSON on standard output. The argument says which.

proxy:  a text, to null where spice-gtk reads no proxy, to [scheme, host, port, user, password], or to what happens
entry:  [key, value], to whether OpenSSL takes it
names:  no input; every short and long name of OpenSSL's table of objects"""
import ctypes
import json
import os
import sys


def proxies(texts):
    """In a process that goes on until a text crashes it, and then in another."""
    answers = []
    while len(answers) < len(texts):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for text in texts[len(answers):]:
                os.write(write, (json.dumps(proxy(text)) + "\n").encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as lines:
            answers.extend(json.loads(line) for line in lines)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or len(answers) == len(texts), status
        if os.WIFSIGNALED(status):
            answers.append("crash")
    return answers


def proxy(text):
    session = Spice.Session()
    session.props.proxy = text
    uri = session.get_proxy_uri()
    try:
        return uri and properties(uri)
    except UnicodeDecodeError:
        return "bytes from behind the text"


def properties(uri):
    return [uri.props.scheme, uri.props.hostname, uri.props.port, uri.props.user, uri.props.password]


def function(library, name, result, *arguments):
    f = getattr(library, name)
    f.restype, f.argtypes = result, arguments
    return f


def entry(pair):
    key, value = (text.encode() for text in pair)
    name = new()
    taken = add(name, key, 0x1000, value, -1, -1, 0)
    free(name)
    return bool(taken)


def names():
    found = set()
    for number in range(1, new_nid(0)):
        found.update(name.decode() for name in (short(number), long(number)) if name)
    return sorted(found)


if sys.argv[1] == "proxy":
    import gi

    gi.require_version("SpiceClientGLib", "2.0")
    from gi.repository import SpiceClientGLib as Spice

    answers = proxies([json.loads(line) for line in sys.stdin])
else:
    crypto = ctypes.CDLL("libcrypto.so.3")
    P, S, I = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    new, free = function(crypto, "X509_NAME_new", P), function(crypto, "X509_NAME_free", None, P)
    add = function(crypto, "X509_NAME_add_entry_by_txt", I, P, S, I, S, I, I, I)
    new_nid = function(crypto, "OBJ_new_nid", I, I)
    short, long = function(crypto, "OBJ_nid2sn", S, I), function(crypto, "OBJ_nid2ln", S, I)
    answers = [entry(json.loads(line)) for line in sys.stdin] if sys.argv[1] == "entry" else [names()]
for answer in answers:
    print(json.dumps(answer))
