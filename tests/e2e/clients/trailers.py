"""Requests with trailers and answers that have them, as a table over both versions on either side.

trailers.py CA CONNECTION...: each CONNECTION is VERSION:PORT:HOST:/, and through TLS where it ends in `:tls`; the origin behind a host whose name begins
with `one` is spoken to by HTTP/1. Prints what was wrong, a line each, and `done`.
"""

import json
import sys

from lines import Chunks, Head, Streams, dial

SUM, SENT = [["x-sum", "7"]], [["x-sent", "1"], ["x-more", "2"]]
LIMIT = [["x-many", "1"]] * 150

# Of each answer of the origin's: status, content, trailers where both sides can carry them, and where one is HTTP/1; `broken` where no whole message
# can come of it.
ANSWERS = {
    "body": (200, b"hello", SUM),
    "none": (200, b"", SUM),
    "two": (200, b"hello", [["x-sum", "7"], ["x-sum", "8"], ["x-empty", ""]]),
    "call": (200, b"hello", [["grpc-status", "0"], ["grpc-message", "fine"]]),
    "only": (200, b"", []),
    "plain": (200, b"hello", []),
    "forbidden": (200, b"hello", [["x-first", "1"], ["x-last", "2"]]),
    "many": "broken",
    "large": "broken",
}


class One:
    """Over HTTP/1, a connection for each request: those that are refused end it."""

    def __init__(self, port, host, ca):
        self.line, self.host = dial(port, host, ca, "http/1.1"), host

    def ask(self, method, path, fields, content, trailers, version="1.1"):
        framing = [["transfer-encoding", "chunked"]] if content or trailers else []
        lines = "".join(f"{name}: {value}\r\n" for name, value in [["host", self.host], *fields, *framing])
        self.line.send(f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode())
        if framing:
            behind = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self.line.send((f"{len(content):x}\r\n{content.decode()}\r\n" if content else "").encode() + f"0\r\n{behind}\r\n".encode())
        head = Head(self.line)
        status = int(head.start.split(" ")[1])
        content, behind = Chunks(self.line, head.rest).read(head, method == "HEAD" or status in (204, 304))
        return status, dict(head.fields), content, [list(field) for field in behind]


class Two:
    """Over HTTP/2."""

    def __init__(self, port, host, ca):
        self.host, self.scheme = host, "https" if ca else "http"
        self.streams = Streams(dial(port, host, ca, "h2")).start()

    def ask(self, method, path, fields, content, trailers):
        head = [(":method", method), (":scheme", self.scheme), (":path", path), (":authority", self.host), *map(tuple, fields)]
        stream = self.streams.open(head, not content and not trailers)
        if content:
            stream.send(content)
        if trailers:
            stream.send_head([tuple(field) for field in trailers], True)
        elif content:
            stream.finish()
        stream.until(lambda: stream.ended)
        head = dict(stream.head)
        return int(head[":status"]), head, bytes(stream.content), [list(field) for field in stream.trailers or []]


class Table:
    def __init__(self, text, ca):
        self.text = text
        self.version, self.port, self.host, _, *tls = text.split(":")
        self.ca = ca if tls else None
        # A message of known length leaves HTTP/1 no place for trailers.
        self.both = self.version == "2" and self.host.startswith("two")

    def ask(self, method, path, fields=(), content=b"", trailers=(), **more):
        try:
            client = (Two if self.version == "2" else One)(self.port, self.host, self.ca)
            got = client.ask(method, path, list(fields), content, list(trailers), **more)
        except (EOFError, ConnectionError):
            return "broken"
        # What an origin breaks may be known before anything is given down, or after.
        return "broken" if got[1].get("x-sluice-reason") == "malformed_response" else got

    def expect(self, what, got, expected):
        if got != expected:
            print(f"{self.text} {what}: {str(got)[:500]}, expected {expected}", flush=True)

    def answers(self):
        for path, expected in ANSWERS.items():
            got = self.ask("GET", "/" + path)
            self.expect(path, got if got == "broken" else (got[0], got[2], got[3]), expected)
        self.expect("gRPC's status without trailers", self.ask("GET", "/only")[1].get("grpc-status"), "0")
        self.expect("what is announced", self.ask("GET", "/body")[1].get("trailer"), "x-sum")
        known = self.ask("GET", "/known")
        self.expect("known", (known[0], known[2], known[3]), (200, b"hello", SUM if self.both else []))
        self.expect("its length", known[1].get("content-length"), "5")
        # No content, and so nothing behind it in HTTP/1 (RFC 9112 section 6.3).
        for method, path, status in [("HEAD", "/body", 200), ("HEAD", "/known", 200), ("HEAD", "/only", 200), ("GET", "/204", 204), ("GET", "/304", 304)]:
            got = self.ask(method, path)
            self.expect(f"{method} {path}", got if got == "broken" else (got[0], got[2]), (status, b""))
        if self.host.startswith("one"):
            # In HTTP/1 what is no field is malformed, and what is one connection's is left out.
            self.expect("no field", self.ask("GET", "/colon"), "broken")
            self.expect("connection", self.ask("GET", "/connection")[3], SUM)
        else:
            # RFC 9113 sections 8.1 and 8.2.2.
            for path in ("/connection", "/pseudo", "/colon"):
                self.expect(path, self.ask("GET", path), "broken")
        if self.version == "1":
            got = self.ask("GET", "/body", version="1.0")
            self.expect("HTTP/1.0 knows none", (got[0], got[2], got[3]), (200, b"hello", []))

    def seen(self, what, expected, *request):
        got = self.ask(*request)
        if got != "broken" and got[0] == 200:
            told, content, trailers = json.loads(got[1]["x-seen"])
            got = (content, trailers)
        self.expect(what, got if got == "broken" or isinstance(got[1], list) else got[:2], expected)

    def requests(self):
        self.seen("content and trailers", (4, SENT), "POST", "/plain", [], b"word", SENT)
        self.seen("trailers alone", (0, SENT), "POST", "/plain", [], b"", SENT)
        self.seen("of GET too", (4, SENT), "GET", "/body", [], b"word", SENT)
        self.seen("no trailers", (4, []), "POST", "/plain", [], b"word", [])
        evil = [["x-a", "1"], ["content-length", "9"], ["host", "evil"], ["authorization", "a"], ["x-forwarded-for", "1.2.3.4"], ["x-b", "2"]]
        self.seen("forbidden ones", (4, [["x-a", "1"], ["x-b", "2"]]), "POST", "/plain", [], b"word", evil)
        limited = self.ask("POST", "/plain", [], b"word", LIMIT)
        self.expect("too many", limited if limited == "broken" else (limited[0], limited[1].get("x-sluice-reason")), (431, "head_too_large"))
        limited = self.ask("POST", "/plain", [], b"word", [["x-large", "x" * 9_000]] * 8)
        self.expect("too large", limited if limited == "broken" else (limited[0], limited[1].get("x-sluice-reason")), (431, "head_too_large"))
        if self.version == "2":
            got = self.ask("POST", "/plain", [["content-length", "4"]], b"word", SENT)
            told = json.loads(got[1]["x-seen"])
            self.expect("with a length", (told[1], told[2]), (4, SENT if self.both else []))
            for wrong in ([[":path", "/"]], [["connection", "x"]], [["X-Upper", "1"]]):
                self.expect(f"{wrong}", self.ask("POST", "/plain", [], b"word", wrong), "broken")
        else:
            got = self.ask("POST", "/plain", [], b"word", [["x sent", "1"]])
            self.expect("no field", got if got == "broken" else (got[0], got[1].get("x-sluice-reason")), (400, "bad_chunk"))

    def te(self):
        """RFC 9110 section 10.1.4: whether trailers are welcome is told on, codings are not."""
        rows = [([["te", "trailers"]], "trailers"), ([], None)]
        if self.version == "1":
            rows += [([["te", "gzip, trailers"], ["connection", "te"]], "trailers"), ([["te", "gzip"], ["connection", "te"]], None)]
        for fields, expected in rows:
            got = self.ask("GET", "/plain", fields)
            told = json.loads(got[1]["x-seen"])[0]
            self.expect(f"{fields}", told.get("te"), expected)
            if self.host.startswith("one"):
                self.expect(f"{fields} of this hop", told.get("connection"), expected and "te")
        if self.version == "2":
            self.expect("te: gzip", self.ask("GET", "/plain", [["te", "gzip"]]), "broken")


def main(ca, texts):
    for text in texts:
        table = Table(text, ca)
        table.answers()
        table.requests()
        table.te()
    print("done", flush=True)


main(sys.argv[1], sys.argv[2:])
