"""A WebSocket origin that sends every message back, over HTTP/1 and HTTP/2, in the clear and through TLS.

websocket_origin.py CERT KEY: says its ports (HTTP/1, HTTP/1 with TLS, HTTP/2, HTTP/2 with TLS, and HTTP/2 that knows no extended CONNECT), then serves
until it is ended. `/raw` sends bytes back instead and says `bye` behind the client's end, `/STATUS` refuses, `/die` breaks off, `/wrong` proves what it was
not asked.
"""

import sys
import threading

from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.utils import accept_key

from lines import Head, Streams, listen


def serve(connection, path, received=b""):
    """What flows once both sides have agreed."""
    if path == "/raw":
        connection.send(received)
        while received := connection.receive():
            connection.send(received)
        connection.send(b"bye")
        connection.finish()
        return
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=None)
    whole, opcode = b"", None
    while True:
        if received:
            protocol.receive_data(received)
        for frame in protocol.events_received():
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                opcode = frame.opcode
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                whole += frame.data
                if frame.fin and whole == b"close with 4000":
                    protocol.send_close(4000, "as asked")
                elif frame.fin:
                    (protocol.send_text if opcode == Opcode.TEXT else protocol.send_binary)(whole)
                    whole = b""
        for data in protocol.data_to_send():
            if data:
                connection.send(data)
            else:
                connection.finish()
                return
        received = connection.receive()
        if not received:
            return


def refused(path):
    return int(path[1:]) if path[1:].isdigit() else None


def over_http1(line):
    head = Head(line)
    path = head.start.split(" ")[1]
    if path == "/die":
        return
    if refused(path):
        line.send(f"HTTP/1.1 {refused(path)} No\r\nx-told: yes\r\ncontent-length: 7\r\n\r\nrefused".encode())
        line.receive()
        return
    assert head.get("upgrade") == "websocket" and head.get("sec-websocket-version") == "13", head.fields
    proof = accept_key(head.get("sec-websocket-key") if path != "/wrong" else "another")
    protocol = "sec-websocket-protocol: chat\r\n" if head.get("sec-websocket-protocol") else ""
    line.send(f"HTTP/1.1 101 Fine\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {proof}\r\n{protocol}\r\n".encode())
    serve(line, path, head.rest)


def over_http2(connect_protocol):
    return lambda line: Streams(line, answer, connect_protocol).run()


def answer(stream):
    fields = dict(stream.head)
    path = fields[":path"]
    if path == "/die":
        stream.break_off()
        return
    if refused(path):
        stream.send_head([(":status", path[1:]), ("x-told", "yes"), ("content-length", "7")])
        stream.send(b"refused")
        stream.finish()
        return
    assert fields[":protocol"] == "websocket" and fields["sec-websocket-version"] == "13", fields
    assert "sec-websocket-key" not in fields, fields
    protocol = [("sec-websocket-protocol", "chat")] if "sec-websocket-protocol" in fields else []
    stream.send_head([(":status", "200"), *protocol])
    serve(stream, path)


if __name__ == "__main__":
    cert, key = sys.argv[1:]
    print(listen(over_http1), flush=True)
    print(listen(over_http1, (cert, key, "http/1.1")), flush=True)
    print(listen(over_http2(True)), flush=True)
    print(listen(over_http2(True), (cert, key, "h2")), flush=True)
    print(listen(over_http2(False)), flush=True)
    threading.Event().wait()
