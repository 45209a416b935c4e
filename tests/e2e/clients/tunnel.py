"""A tunnel by CONNECT: bytes there and back, before and after another configuration, then our half closed, then all that is left.

tunnel.py VERSION PORT AUTHORITY [CA]: over HTTP/1 or HTTP/2, through TLS when a CA is given. Prints the status; when it is 200 sends a word and waits
for it, prints `ready`, waits for a line, sends much, ends its half, and prints how many bytes came in all before the other half ended.
"""

import sys

from lines import Head, Streams, dial

LARGE = bytes(range(256)) * 1024


def open_by_http1(line, authority):
    line.send(f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n".encode())
    head = Head(line)
    return head.start.split(" ")[1], line, head.rest


def open_by_http2(line, authority):
    stream = Streams(line).start().open([(":method", "CONNECT"), (":authority", authority)])
    stream.until(lambda: stream.head is not None)
    return dict(stream.head)[":status"], stream, b""


def main(version, port, authority, ca=None):
    line = dial(port, authority.split(":")[0], ca, "h2" if version == "2" else "http/1.1")
    status, tunnel, came = (open_by_http2 if version == "2" else open_by_http1)(line, authority)
    print(status, flush=True)
    if status != "200":
        return
    tunnel.send(b"word")
    while came != b"word":
        came += tunnel.receive()
    print("ready", flush=True)
    sys.stdin.readline()
    tunnel.send(LARGE)
    tunnel.finish()
    while received := tunnel.receive():
        came += received
    assert came == b"word" + LARGE, len(came)
    print(len(came), flush=True)


main(*sys.argv[1:])
