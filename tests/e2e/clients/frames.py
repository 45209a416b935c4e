"""HTTP/2 frame by frame: floods and how they end, told in one line each.

frames.py PORT FLOOD: sends the flood until the connection ends; prints the error code of the GOAWAY, and how many rounds it took.
"""

import socket
import struct
import sys

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
ROUNDS_MAX = 20_000
PATIENCE = 20


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def request(stream):
    """A head that needs no state of the compression."""
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/delay/5000"), (":authority", "one.test")]
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, hpack.Encoder().encode(fields))


def resets(round):
    stream = 2 * round + 1
    return request(stream) + frame(RESET, 0, stream, struct.pack(">I", 8))


def continuations(round):
    return frame(HEADERS, END_STREAM, 1, b"\x82") if round == 0 else frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b")


def settings(_round):
    return frame(SETTINGS, 0, 0)


def pings(round):
    return frame(PING, 0, 0, struct.pack(">Q", round))


def empty_data(round):
    if round == 0:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "one.test")]
        return frame(HEADERS, END_HEADERS, 1, hpack.Encoder().encode(fields))
    return frame(DATA, 0, 1)


FLOODS = {"resets": resets, "continuations": continuations, "settings": settings, "pings": pings, "empty_data": empty_data}


def whole_frames(received):
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        if len(received) < 9 + length:
            return
        yield received[3], bytes(received[9 : 9 + length])
        del received[: 9 + length]


def goaway(received):
    """The error code of a GOAWAY that has come, and the bytes that are left."""
    for kind, payload in whole_frames(received):
        if kind == GOAWAY:
            return int.from_bytes(payload[4:8], "big")
    return None


def main(port, flood):
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    received, code, rounds = bytearray(), None, 0
    try:
        while rounds < ROUNDS_MAX and code is None:
            connection.sendall(FLOODS[flood](rounds))
            rounds += 1
            connection.setblocking(False)
            try:
                received += connection.recv(1 << 16)
            except BlockingIOError:
                pass
            connection.settimeout(PATIENCE)
            code = goaway(received)
        # It ended in the middle of what was sent: what was said before is still to be read.
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        while part := connection.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    if code is None:
        code = goaway(received)
    print(f"goaway {code} rounds {rounds}")


main(int(sys.argv[1]), sys.argv[2])
