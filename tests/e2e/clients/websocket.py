"""A WebSocket client: messages there and back, before and after another configuration, then a close with a code.

websocket.py VERSION PORT HOST [CA]: VERSION is 1 (HTTP/1 upgrade) or 2 (extended CONNECT); through TLS when a CA is given.
Prints `ready`, waits for a line, and prints `closed CODE` at the end.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from websockets.frames import Close, Frame, Opcode
from websockets.sync.client import connect

LARGE = bytes(range(256)) * 4096
PATIENCE = 20


def dial(port, host, ca, protocol):
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    if ca is None:
        return plain
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([protocol])
    secure = context.wrap_socket(plain, server_hostname=host)
    assert secure.selected_alpn_protocol() == protocol, secure.selected_alpn_protocol()
    return secure


class OverHttp1:
    def __init__(self, port, host, ca):
        scheme = "ws" if ca is None else "wss"
        context = ssl.create_default_context(cafile=ca) if ca else None
        self.connection = connect(
            f"{scheme}://{host}/", sock=socket.create_connection(("127.0.0.1", port), PATIENCE), ssl=context, max_size=None,
            subprotocols=["chat"], compression=None, proxy=None,
        )
        assert self.connection.subprotocol == "chat", self.connection.subprotocol

    def exchange(self, message):
        self.connection.send(message)
        return self.connection.recv(timeout=PATIENCE)

    def close(self, code):
        self.connection.close(code)
        return self.connection.close_code


class OverHttp2:
    def __init__(self, port, host, ca):
        self.socket = dial(port, host, ca, "h2")
        self.codec = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.codec.initiate_connection()
        self.content, self.status, self.ended = bytearray(), None, False
        while h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in self.codec.remote_settings:
            self.step()
        fields = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https" if ca else "http"), (":path", "/"),
            (":authority", host), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"), ("origin", "http://" + host),
        ]
        self.stream = self.codec.get_next_available_stream_id()
        self.codec.send_headers(self.stream, fields)
        while self.status is None:
            self.step()
        assert self.status[":status"] == "200", self.status
        assert self.status["sec-websocket-protocol"] == "chat", self.status
        assert "sec-websocket-accept" not in self.status, self.status

    def flush(self):
        self.socket.sendall(self.codec.data_to_send())

    def step(self):
        self.flush()
        received = self.socket.recv(1 << 16)
        assert received, "the connection ended"
        for event in self.codec.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.content += event.data
                self.codec.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise AssertionError(event)
        self.flush()

    def send(self, frame):
        data = frame.serialize(mask=True)
        while data:
            room = min(self.codec.local_flow_control_window(self.stream), self.codec.max_outbound_frame_size, len(data))
            if room == 0:
                self.step()
                continue
            self.codec.send_data(self.stream, data[:room])
            data = data[room:]
            self.flush()

    def read(self, count):
        while len(self.content) < count:
            assert not self.ended, "the stream ended"
            self.step()
        taken = bytes(self.content[:count])
        del self.content[:count]
        return taken

    def frame(self):
        first, length = self.read(2)
        if length > 125:
            length = int.from_bytes(self.read(2 if length == 126 else 8), "big")
        return first & 15, first >> 7, self.read(length)

    def exchange(self, message):
        text = isinstance(message, str)
        self.send(Frame(Opcode.TEXT if text else Opcode.BINARY, message.encode() if text else message))
        whole, final = b"", False
        while not final:
            _, final, data = self.frame()
            whole += data
        return whole.decode() if text else whole

    def close(self, code):
        self.send(Frame(Opcode.CLOSE, Close(code, "").serialize()))
        kind, _, data = self.frame()
        assert kind == Opcode.CLOSE, kind
        self.codec.end_stream(self.stream)
        self.flush()
        while not self.ended:
            self.step()
        return int.from_bytes(data[:2], "big")


def main(version, port, host, ca=None):
    client = (OverHttp1 if version == "1" else OverHttp2)(int(port), host, ca)
    assert client.exchange("hello") == "hello"
    assert client.exchange(LARGE) == LARGE
    print("ready", flush=True)
    sys.stdin.readline()
    assert client.exchange("after") == "after"
    print("closed", client.close(4321), flush=True)


main(*sys.argv[1:])
