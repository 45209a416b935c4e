"""gRPC without generated code: an origin, and a client that makes a call of each kind.

grpc_echo.py serve: says its port, then serves until it is ended.
grpc_echo.py call TARGET NAME [CA]: calls through TLS when a CA is given; prints `done` when every answer was right.
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
    context.set_trailing_metadata([("x-seen", sent.get("x-sent", "nothing"))])
    return request


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
HEALTH = {b"": b"\x08\x01", b"test.Echo": b"\x08\x01", b"test.Stopped": b"\x08\x02"}


def check(request, context):
    if request[2:] not in HEALTH:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return HEALTH[request[2:]]


def serve():
    server = grpc.server(ThreadPoolExecutor(8))
    sleeping = {"Sleep": sleep, "Cancelled": cancelled_one}
    methods = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in sleeping.items()}
    methods |= {"Unary": grpc.unary_unary_rpc_method_handler(unary), "Stream": grpc.stream_stream_rpc_method_handler(stream)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", methods)])
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", health)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


def call(target, name, ca=None):
    options = [("grpc.default_authority", name), ("grpc.ssl_target_name_override", name)]
    if ca is None:
        channel = grpc.insecure_channel(target, options)
    else:
        with open(ca, "rb") as file:
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(file.read()), options)
    one, many = channel.unary_unary("/test.Echo/Unary"), channel.stream_stream("/test.Echo/Stream")
    answer, detail = one.with_call(b"hello", metadata=[("x-sent", "word")], timeout=PATIENCE)
    assert answer == b"hello" and dict(detail.trailing_metadata())["x-seen"] == "word", detail.trailing_metadata()
    assert one(LARGE, timeout=PATIENCE) == LARGE
    messages = [str(number).encode() for number in range(100)]
    assert list(many(iter(messages), timeout=PATIENCE)) == messages
    try:
        one(b"fail", timeout=PATIENCE)
        raise AssertionError("it should have failed")
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "as asked"), error
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


serve() if sys.argv[1] == "serve" else call(*sys.argv[2:])
