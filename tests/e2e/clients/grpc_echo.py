"""gRPC without generated code: an origin, and a client that makes a call of each kind.

grpc_echo.py serve [CERT KEY [PORT TLS_PORT [HOST]]]: says its port, then serves until it is ended; with a certificate it says another port, that
speaks TLS. A line `SERVICE serving` or `SERVICE stopped` changes what it says of that service's health; each is said back.
grpc_echo.py call TARGET NAME DEAD [CA]: calls through TLS when a CA is given; prints `done` when every answer was right. Behind the name DEAD there
is nobody.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

PATIENCE = 20
LARGE = bytes(range(256)) * 4096


def unary(request, context):
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-early", "yes"), ("x-early-bin", sent.get("x-sent-bin", b""))])
    context.set_trailing_metadata([("x-seen", sent.get("x-sent", "nothing")), ("x-seen-bin", sent.get("x-sent-bin", b""))])
    return request


def split(request, context):
    """One byte a message; what it cannot split it breaks off in the middle."""
    for byte in request:
        yield bytes([byte])
    if request == b"broken":
        context.abort(grpc.StatusCode.DATA_LOSS, "in the middle")


def join(requests, _context):
    return b"".join(requests)


def first(requests, _context):
    """Answers before the client has said everything."""
    return next(requests)


def give_up(_request, context):
    """The server cancels."""
    context.cancel()
    threading.Event().wait(0.1)
    return b""


cancelled = threading.Semaphore(0)


def sleep(request, context):
    """Lasts until nobody waits for it any more."""
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(PATIENCE)
    cancelled.release()
    return request


def cancelled_one(request, _context):
    """Lasts until a sleeper was cancelled."""
    return b"yes" if cancelled.acquire(timeout=PATIENCE) else b"no"


def stream(requests, _context):
    yield from requests


# grpc.health.v1 without generated code: what is asked about stands after two bytes; field 1 of an answer is 1, serving, or 2, not.
STATUSES = {"serving": b"\x08\x01", "stopped": b"\x08\x02"}
HEALTH = {b"": STATUSES["serving"], b"test.Echo": STATUSES["serving"], b"test.Stopped": STATUSES["stopped"]}


def check(request, context):
    if request[2:] not in HEALTH:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return HEALTH[request[2:]]


def serve(cert=None, key=None, port=0, tls_port=0, host="127.0.0.1"):
    server = grpc.server(ThreadPoolExecutor(8))
    sleeping = {"Sleep": sleep, "Cancelled": cancelled_one, "GiveUp": give_up}
    methods = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in sleeping.items()}
    methods |= {"Unary": grpc.unary_unary_rpc_method_handler(unary), "Stream": grpc.stream_stream_rpc_method_handler(stream)}
    methods |= {"Split": grpc.unary_stream_rpc_method_handler(split), "Join": grpc.stream_unary_rpc_method_handler(join)}
    methods |= {"First": grpc.stream_unary_rpc_method_handler(first)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", methods)])
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", health)])
    print(server.add_insecure_port(f"{host}:{port}"), flush=True)
    if cert is not None:
        with open(cert, "rb") as certificate, open(key, "rb") as secret:
            credentials = grpc.ssl_server_credentials([(secret.read(), certificate.read())])
        print(server.add_secure_port(f"{host}:{tls_port}", credentials), flush=True)
    server.start()
    for line in sys.stdin:
        service, status = line.split()
        HEALTH[service.encode()] = STATUSES[status]
        print(service, status, flush=True)
    server.wait_for_termination()


def dial(target, name, ca):
    options = [("grpc.default_authority", name), ("grpc.ssl_target_name_override", name)]
    if ca is None:
        return grpc.insecure_channel(target, options)
    with open(ca, "rb") as file:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(file.read()), options)


def fails(code, make, details=None):
    """Makes a call, to its last message, that has to end with this status; what came before that."""
    came = []
    try:
        result = make()
        for message in [result] if isinstance(result, bytes) else result:
            came.append(message)
        raise AssertionError(f"it should have failed with {code}")
    except grpc.RpcError as error:
        assert error.code() == code and details in (None, error.details()), error
    return came


def streams(channel):
    split, join = channel.unary_stream("/test.Echo/Split"), channel.stream_unary("/test.Echo/Join")
    many, first = channel.stream_stream("/test.Echo/Stream"), channel.stream_unary("/test.Echo/First")
    assert list(split(b"abc", timeout=PATIENCE)) == [b"a", b"b", b"c"]
    assert list(split(b"", timeout=PATIENCE)) == []
    broken = fails(grpc.StatusCode.DATA_LOSS, lambda: split(b"broken", timeout=PATIENCE), "in the middle")
    assert b"".join(broken) == b"broken", broken
    assert join(iter([b"a", b"", b"bc"]), timeout=PATIENCE) == b"abc"
    assert join(iter([]), timeout=PATIENCE) == b""
    messages = [str(number).encode() for number in range(100)]
    assert list(many(iter(messages), timeout=PATIENCE)) == messages
    # More each way, at once, than any window holds.
    assert b"".join(many(iter([LARGE] * 3), timeout=PATIENCE)) == LARGE * 3
    # Ping pong: each message waits for the answer to the one before it.
    answered = threading.Semaphore(1)

    def one_by_one():
        for message in messages[:20]:
            assert answered.acquire(timeout=PATIENCE)
            yield message

    for message, answer in zip(messages[:20], many(one_by_one(), timeout=PATIENCE), strict=True):
        assert answer == message
        answered.release()
    over = threading.Event()

    def endless():
        yield b"enough"
        over.wait(PATIENCE)

    assert first(endless(), timeout=PATIENCE) == b"enough"
    over.set()


def call(target, name, dead, ca=None):
    channel = dial(target, name, ca)
    one = channel.unary_unary("/test.Echo/Unary")
    sent = [("x-sent", "word"), ("x-sent-bin", bytes(range(256)))]
    answer, detail = one.with_call(b"hello", metadata=sent, timeout=PATIENCE)
    early, late = dict(detail.initial_metadata()), dict(detail.trailing_metadata())
    assert answer == b"hello" and late["x-seen"] == "word" and late["x-seen-bin"] == bytes(range(256)), late
    assert early["x-early"] == "yes" and early["x-early-bin"] == bytes(range(256)), early
    assert one(LARGE, timeout=PATIENCE) == LARGE
    streams(channel)
    fails(grpc.StatusCode.FAILED_PRECONDITION, lambda: one(b"fail", timeout=PATIENCE), "as asked")
    # The origin knows no such method, and says so without a message; nobody is behind the other name, and the proxy says so itself.
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: channel.unary_unary("/test.Echo/Nothing")(b"", timeout=PATIENCE))
    fails(grpc.StatusCode.UNAVAILABLE, lambda: dial(target, dead, ca).unary_unary("/test.Echo/Unary")(b"", timeout=PATIENCE))
    fails(grpc.StatusCode.CANCELLED, lambda: channel.unary_unary("/test.Echo/GiveUp")(b"", timeout=PATIENCE))
    sleeper, sees = channel.unary_unary("/test.Echo/Sleep"), channel.unary_unary("/test.Echo/Cancelled")
    begun = sleeper.future(b"", timeout=PATIENCE)
    # It has reached the origin when a later call on the connection has been answered.
    assert one(b"", timeout=PATIENCE) == b""
    begun.cancel()
    assert sees(b"", timeout=PATIENCE) == b"yes"
    try:
        sleeper(b"", timeout=0.3)
        raise AssertionError("it should have been late")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert sees(b"", timeout=PATIENCE) == b"yes"
    print("done", flush=True)


serve(*sys.argv[2:]) if sys.argv[1] == "serve" else call(*sys.argv[2:])
