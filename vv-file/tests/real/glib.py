"""Asks the real GLib about key files: each is a length (32 bits, little endian) and bytes on standard input, and
gets a line of JSON on standard output. Bytes are in hexadecimal; an error is an object with its code."""
import ctypes
import json
import struct
import sys

lib = ctypes.CDLL("libglib-2.0.so.0")
P, S, Z = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t


class GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", S)]


def function(name, result, *arguments):
    f = getattr(lib, name)
    f.restype, f.argtypes = result, arguments
    return f


new = function("g_key_file_new", P)
free = function("g_key_file_free", None, P)
load = function("g_key_file_load_from_data", ctypes.c_int, P, P, Z, ctypes.c_int, P)
groups = function("g_key_file_get_groups", P, P, P)
keys = function("g_key_file_get_keys", P, P, S, P, P)
value = function("g_key_file_get_value", P, P, S, S, P)
string = function("g_key_file_get_string", P, P, S, S, P)
strings = function("g_key_file_get_string_list", P, P, S, S, P, P)
boolean = function("g_key_file_get_boolean", ctypes.c_int, P, S, S, P)
integer = function("g_key_file_get_integer", ctypes.c_int, P, S, S, P)
int64 = function("g_key_file_get_int64", ctypes.c_int64, P, S, S, P)
uint64 = function("g_key_file_get_uint64", ctypes.c_uint64, P, S, S, P)
integers = function("g_key_file_get_integer_list", P, P, S, S, P, P)
booleans = function("g_key_file_get_boolean_list", P, P, S, S, P, P)
to_data = function("g_key_file_to_data", P, P, P, P)
g_free = function("g_free", None, P)
strfreev = function("g_strfreev", None, P)
error_free = function("g_error_free", None, P)


def checked(f, *arguments):
    error = ctypes.POINTER(GError)()
    result = f(*arguments, ctypes.byref(error))
    if not error:
        return result, None
    code = error.contents.code
    error_free(error)
    return result, code


def text(pointer, error):
    result = failed(error) if error is not None else ctypes.string_at(pointer).hex()
    if pointer:
        g_free(pointer)
    return result


def number(value, error):
    return failed(error) if error is not None else value


def failed(code):
    return {"error": code}


def items(f, file, group, key, kind, convert, release):
    length = Z()
    array, error = checked(lambda e: f(file, group, key, ctypes.byref(length), e))
    if error is not None:
        return failed(error)
    values = ctypes.cast(array, ctypes.POINTER(kind))
    result = [convert(values[i]) for i in range(length.value)]
    if array:
        release(array)
    return result


def vector(pointer, count):
    array = ctypes.cast(pointer, ctypes.POINTER(S))
    return [array[i] for i in range(count)]


def ask(data):
    file = new()
    try:
        buffer = ctypes.create_string_buffer(data, len(data) or 1)
        _, error = checked(load, file, ctypes.addressof(buffer), len(data), 3)
        if error is not None:
            return {"error": error}
        names = groups(file, None)
        answer = []
        array, index = ctypes.cast(names, ctypes.POINTER(S)), 0
        while array[index] is not None:
            group, index = array[index], index + 1
            count = Z()
            list_, error = checked(lambda *a: keys(file, group, ctypes.byref(count), a[-1]))
            entries = []
            for key in vector(list_, count.value):
                flag, error = checked(boolean, file, group, key)
                place = (file, group, key)
                entries.append([
                    key.hex(),
                    text(*checked(value, *place)),
                    text(*checked(string, *place)),
                    items(strings, *place, S, bytes.hex, strfreev),
                    number(bool(flag), error),
                    number(*checked(integer, *place)),
                    number(*checked(int64, *place)),
                    number(*checked(uint64, *place)),
                    items(integers, *place, ctypes.c_int, int, g_free),
                    items(booleans, *place, ctypes.c_int, bool, g_free),
                ])
            strfreev(list_)
            answer.append([group.hex(), entries])
        strfreev(names)
        length = Z()
        written = to_data(file, ctypes.byref(length), None)
        data = ctypes.string_at(written, length.value).hex()
        g_free(written)
        return {"groups": answer, "data": data}
    finally:
        free(file)


while True:
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        break
    (size,) = struct.unpack("<I", head)
    print(json.dumps(ask(sys.stdin.buffer.read(size))), flush=False)
