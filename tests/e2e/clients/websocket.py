"""WebSocket clients over HTTP/1 (upgrade) and HTTP/2 (extended CONNECT), many at once.

websocket.py VERB CA CONNECTION...: each CONNECTION is VERSION:PORT:HOST:PATH, and through TLS where it ends in `:tls`. VERB is

talk: messages of every kind and closes with every code on each, `ready`, waits for a line, messages again and a close; `closed` when all was right.
ask: prints of each the status, `x-sluice-reason` or `x-told`, and the content of the answer, or `opened`, `unproved` and `broken`.
linger: `ready` once all are open; then of each whether it `ended` or was `reset`, with what came before.
halves: ends our half of each while the other goes on; `done`.
"""

import base64
import os
import sys

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.utils import accept_key

from lines import Head, Streams, dial

LARGE = bytes(range(256)) * 4096
CODES = [1000, 1001, 1011, 3000, 4999, None]


class Refused(Exception):
    """The answer did not open anything."""


def upgrade(line, host, path):
    """Over HTTP/1."""
    key = base64.b64encode(os.urandom(16)).decode()
    line.send(
        f"GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-key: {key}\r\nsec-websocket-protocol: chat\r\norigin: http://{host}\r\n\r\n".encode()
    )
    head = Head(line)
    status = head.start.split(" ")[1]
    if status != "101":
        content = head.rest
        while len(content) < int(head.get("content-length")):
            content += line.receive()
        raise Refused(f"{status} {head.get('x-sluice-reason') or head.get('x-told')} {content.decode().strip()}")
    assert head.get("upgrade") == "websocket" and head.get("connection") == "upgrade" and head.rest == b"", head.fields
    if head.get("sec-websocket-accept") != accept_key(key):
        raise Refused("unproved")
    return line, head.get("sec-websocket-protocol")


def connect(line, host, path, scheme):
    """Over HTTP/2."""
    streams = Streams(line).start()
    assert streams.takes_tunnels()
    fields = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", scheme), (":path", path), (":authority", host),
        ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"), ("origin", "http://" + host),
    ]
    stream = streams.open(fields)
    stream.until(lambda: stream.head is not None)
    head = dict(stream.head)
    if head[":status"] != "200":
        stream.until(lambda: stream.ended)
        raise Refused(f"{head[':status']} {head.get('x-sluice-reason') or head.get('x-told')} {stream.content.decode().strip()}")
    assert not {"sec-websocket-accept", "upgrade", "connection"} & head.keys(), head
    return stream, head.get("sec-websocket-protocol")


class Socket:
    """A connection of the command line, opened."""

    def __init__(self, text, ca):
        self.text, self.ca = text, ca
        version, port, host, path, *tls = text.split(":")
        line = dial(port, host, ca if tls else None, "h2" if version == "2" else "http/1.1")
        if version == "2":
            self.line, subprotocol = connect(line, host, path, "https" if tls else "http")
        else:
            self.line, subprotocol = upgrade(line, host, path)
        assert subprotocol == "chat", (text, subprotocol)
        self.protocol, self.frames = Protocol(Side.CLIENT, state=State.OPEN, max_size=None), []

    def flush(self):
        for data in self.protocol.data_to_send():
            if data:
                self.line.send(data)
            else:
                self.line.finish()

    def frame(self):
        while not self.frames:
            self.flush()
            received = self.line.receive()
            if not received:
                raise EOFError(self.text)
            self.protocol.receive_data(received)
            self.frames += self.protocol.events_received()
        return self.frames.pop(0)

    def expect(self, opcode, data):
        frame = self.frame()
        assert frame.opcode == opcode and frame.data == data, (self.text, frame)

    def talk(self):
        protocol = self.protocol
        for text in ("hello", "", "\u20ac" * 100):
            protocol.send_text(text.encode())
            self.expect(Opcode.TEXT, text.encode())
        for binary in (b"\0", LARGE):
            protocol.send_binary(binary)
            self.expect(Opcode.BINARY, binary)
        protocol.send_ping(b"beat")
        self.expect(Opcode.PONG, b"beat")
        # In fragments, with a ping between (RFC 6455 section 5.4).
        protocol.send_text(b"in ", fin=False)
        protocol.send_continuation(b"many ", fin=False)
        protocol.send_ping(b"between")
        protocol.send_continuation(b"pieces", fin=True)
        self.expect(Opcode.PONG, b"between")
        self.expect(Opcode.TEXT, b"in many pieces")

    def close(self, code):
        self.protocol.send_close(code, "over" if code else "")
        self.ends(code)

    def is_closed_by_the_origin(self):
        self.protocol.send_text(b"close with 4000")
        self.ends(4000)

    def ends(self, code):
        frame = self.frame()
        assert frame.opcode == Opcode.CLOSE and self.protocol.close_rcvd.code == (code or 1005), (self.text, frame)
        self.flush()
        assert not self.line.receive(), self.text


def talk(ca, texts):
    sockets = [Socket(text, ca) for text in texts]
    for socket in sockets:
        socket.talk()
        for code in CODES:
            Socket(socket.text, ca).close(code)
        Socket(socket.text, ca).is_closed_by_the_origin()
    print("ready", flush=True)
    sys.stdin.readline()
    for socket in sockets:
        socket.talk()
        socket.close(4321)
    print("closed", flush=True)


def ask(ca, texts):
    for text in texts:
        try:
            Socket(text, ca)
            print("opened", flush=True)
        except Refused as refused:
            print(refused, flush=True)
        except (EOFError, ConnectionError):
            print("broken", flush=True)


def linger(ca, texts):
    sockets = [Socket(text, ca) for text in texts]
    for socket in sockets:
        socket.line.send(b"word")
        assert socket.line.receive() == b"word", socket.text
    print("ready", flush=True)
    for socket in sockets:
        came = b""
        try:
            while received := socket.line.receive():
                came += received
            print("ended", came.decode(), flush=True)
        except (EOFError, OSError):
            print("reset", came.decode(), flush=True)


def halves(ca, texts):
    for text in texts:
        socket = Socket(text, ca)
        socket.line.send(b"word" + LARGE)
        socket.line.finish()
        came = b""
        while received := socket.line.receive():
            came += received
        assert came == b"word" + LARGE + b"bye", (text, len(came), came[:10], came[-10:])
    print("done", flush=True)


{"talk": talk, "ask": ask, "linger": linger, "halves": halves}[sys.argv[1]](sys.argv[2], sys.argv[3:])
