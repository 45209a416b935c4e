"""An origin whose answers have trailers, over HTTP/1 and HTTP/2, in the clear and through TLS.

trailers_origin.py CERT KEY: says its ports (HTTP/1, HTTP/1 with TLS, HTTP/2, HTTP/2 with TLS, and the third again), then serves until it is ended. What it
was sent is told in `x-seen`; what it answers is the path's last word, see ANSWERS.
"""

import json
import sys
import threading

from lines import Chunks, Head, Streams, listen

SUM = [("x-sum", "7")]
GRPC = [("grpc-status", "0"), ("grpc-message", "fine")]
# Of each answer: status, fields, content, trailers.
ANSWERS = {
    "body": (200, [("trailer", "x-sum")], b"hello", SUM),
    "none": (200, [], b"", SUM),
    "two": (200, [], b"hello", SUM + [("x-sum", "8"), ("x-empty", "")]),
    "known": (200, [("content-length", "5")], b"hello", SUM),
    "call": (200, [("content-type", "application/grpc")], b"hello", GRPC),
    "only": (200, [("content-type", "application/grpc"), *GRPC], b"", None),
    "plain": (200, [], b"hello", None),
    "204": (204, [], b"", SUM),
    "304": (304, [], b"", SUM),
    "forbidden": (
        200, [], b"hello",
        [("x-first", "1"), ("content-length", "5"), ("host", "evil"), ("set-cookie", "a=b"), ("authorization", "x"), ("x-last", "2")],
    ),
    "many": (200, [], b"hello", [("x-many", "1")] * 150),
    "large": (200, [], b"hello", [("x-large", "x" * 9_000)] * 8),
    "connection": (200, [], b"hello", [("connection", "x-sum"), ("x-sum", "7")]),
    "pseudo": (200, [], b"hello", [(":status", "200")]),
    "colon": (200, [], b"hello", [("x sum", "7")]),
}


def seen(fields, content, trailers):
    told = {name: value for name, value in fields if name in ("te", "trailer", "connection", "transfer-encoding", "content-length")}
    return json.dumps([told, len(content), [list(field) for field in trailers]], separators=(",", ":"))


def written(fields):
    return "".join(f"{name}: {value}\r\n" for name, value in fields)


def over_http1(line):
    rest = b""
    while True:
        head = Head(line, rest)
        method, path, _ = head.start.split(" ")
        chunks = Chunks(line, head.rest)
        content, trailers = chunks.read(head)
        rest = chunks.rest
        status, fields, answer, behind = ANSWERS[path.split("/")[-1]]
        fields = [("x-seen", seen(head.fields, content, trailers)), *fields]
        if behind is None or dict(fields).get("content-length"):
            fields = [field for field in fields if field[0] != "content-length"] + [("content-length", str(len(answer)))]
            body = answer.decode()
        elif status in (204, 304):
            body = ""
        else:
            fields.append(("transfer-encoding", "chunked"))
            body = (f"{len(answer):x}\r\n{answer.decode()}\r\n" if answer else "") + f"0\r\n{written(behind)}\r\n"
        line.send(f"HTTP/1.1 {status} Fine\r\n{written(fields)}\r\n{'' if method == 'HEAD' else body}".encode())


def over_http2(stream):
    stream.until(lambda: stream.ended)
    fields = dict(stream.head)
    status, answer, content, trailers = ANSWERS[fields[":path"].split("/")[-1]]
    head = [(":status", str(status)), ("x-seen", seen(stream.head, stream.content, stream.trailers or [])), *answer]
    if trailers is None and not content:
        stream.send_head(head, True)
        return
    stream.send_head(head)
    if fields[":method"] != "HEAD":
        stream.send(content)
    if trailers is None:
        stream.finish()
    else:
        stream.send_head(trailers, True)


if __name__ == "__main__":
    cert, key = sys.argv[1:]
    both = lambda line: Streams(line, over_http2).run()
    print(listen(over_http1), flush=True)
    print(listen(over_http1, (cert, key, "http/1.1")), flush=True)
    print(port := listen(both), flush=True)
    print(listen(both, (cert, key, "h2")), flush=True)
    print(port, flush=True)
    threading.Event().wait()
