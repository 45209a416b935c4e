"""What the programs beside this one speak over: connections whose halves end one by one, also through TLS, and HTTP/1 heads and HTTP/2 streams on
them. Nothing is checked of what is sent, so that it may be wrong; HTTP/2 that comes is checked by its library."""

import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.connection import ConnectionInputs, ConnectionState, H2ConnectionStateMachine

PATIENCE = 20

# What was begun goes on behind a GOAWAY (RFC 9113 section 6.8), which the library does not know.
for state in (ConnectionState.CLIENT_OPEN, ConnectionState.SERVER_OPEN):
    H2ConnectionStateMachine._transitions[state, ConnectionInputs.RECV_GOAWAY] = (None, state)


class Line:
    """A connection; `context` makes it TLS. One thread may receive while others send."""

    def __init__(self, plain, context=None, name=None):
        plain.settimeout(PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.tls, self.lock = plain, None, threading.Lock()
        if context is not None:
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=name is None, server_hostname=name)
            self._step(self.tls.do_handshake)

    def _step(self, action):
        """One step of TLS, with as many bytes of the other side as it takes."""
        while True:
            with self.lock:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.socket.sendall(self.outgoing.read())
            received = self.socket.recv(1 << 16)
            with self.lock:
                self.incoming.write(received) if received else self.incoming.write_eof()

    def send(self, data):
        if self.tls is None:
            self.socket.sendall(data)
        elif data:
            self._step(lambda: self.tls.write(data))

    def receive(self):
        """What came; nothing at the other half's end."""
        if self.tls is None:
            return self.socket.recv(1 << 16)
        try:
            return self._step(lambda: self.tls.read(1 << 16))
        except ssl.SSLZeroReturnError:
            return b""

    def finish(self):
        """Ends this half."""
        if self.tls is None:
            self.socket.shutdown(socket.SHUT_WR)
            return
        with self.lock:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass  # The other half is still open.
            self.socket.sendall(self.outgoing.read())

    def close(self):
        self.socket.close()


def dial(port, name, ca, protocol):
    """A client's line, through TLS where there is a CA."""
    plain = socket.create_connection(("127.0.0.1", int(port)), PATIENCE)
    if ca is None:
        return Line(plain)
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([protocol])
    line = Line(plain, context, name)
    assert line.tls.selected_alpn_protocol() == protocol, line.tls.selected_alpn_protocol()
    return line


def listen(serve, tls=None):
    """Serves each connection by a thread of its own; `tls` is a certificate, its key and a protocol. Gives the port."""
    listener, context = socket.create_server(("127.0.0.1", 0)), None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls[0], tls[1])
        context.set_alpn_protocols([tls[2]])

    def one(plain):
        try:
            with plain:
                serve(Line(plain, context))
        except (OSError, EOFError):
            pass  # The other side is gone.

    def accept():
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=one, args=[plain], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


class Head:
    """An HTTP/1 head, read from a line; what came behind it is in `rest`."""

    def __init__(self, line, rest=b""):
        while b"\r\n\r\n" not in rest:
            received = line.receive()
            if not received:
                raise EOFError(rest)
            rest += received
        head, _, self.rest = rest.partition(b"\r\n\r\n")
        self.start, *lines = head.decode("latin-1").split("\r\n")
        self.fields = [(name.lower(), value.strip()) for name, _, value in (text.partition(":") for text in lines)]

    def get(self, name):
        return next((value for known, value in self.fields if known == name), None)


class Streams:
    """An HTTP/2 connection. A server has `serve` do with each stream what it does, in a thread of its own."""

    def __init__(self, line, serve=None, connect_protocol=True):
        config = h2.config.H2Configuration(
            client_side=serve is None, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.line, self.serve, self.streams, self.error = line, serve, {}, None
        self.changed, self.codec = threading.Condition(), h2.connection.H2Connection(config)
        if serve is not None and connect_protocol:
            offered = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100}
            self.codec.local_settings = h2.settings.Settings(client=False, initial_values=offered)
        self.codec.initiate_connection()
        self.do(lambda: None)

    def do(self, action):
        """Something of the codec, and what it has to say about it."""
        with self.changed:
            result = action()
            self.line.send(self.codec.data_to_send())
            return result

    def run(self):
        """Takes in what comes, to the end."""
        try:
            while received := self.line.receive():
                with self.changed:
                    for event in self.codec.receive_data(received):
                        self.happened(event)
                    self.line.send(self.codec.data_to_send())
                    self.changed.notify_all()
            raise EOFError("the connection ended")
        except Exception as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def happened(self, event):
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id)
            stream.head = event.headers
            threading.Thread(target=self.serve_one, args=[stream], daemon=True).start()
        if isinstance(event, h2.events.ConnectionTerminated) and event.error_code != 0:
            self.error = EOFError(event)
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is not None:
            stream.happened(event)

    def serve_one(self, stream):
        try:
            self.serve(stream)
        except EOFError:
            pass  # The other side is gone, or wants no more.

    def until(self, holds):
        with self.changed:
            while not holds():
                if self.error is not None:
                    raise EOFError(self.error)
                if not self.changed.wait(PATIENCE):
                    raise TimeoutError("nothing came")

    def takes_tunnels(self):
        self.until(lambda: h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS in self.codec.remote_settings)
        return self.codec.remote_settings.enable_connect_protocol == 1

    def open(self, fields, end=False):
        """A request."""
        with self.changed:
            stream = Stream(self, self.codec.get_next_available_stream_id())
            self.streams[stream.id] = stream
            stream.send_head(fields, end)
        return stream


class Stream:
    """One exchange of it."""

    def __init__(self, streams, identifier):
        self.streams, self.id, self.content = streams, identifier, bytearray()
        self.head, self.trailers, self.infos, self.ended, self.reset = None, None, [], False, None

    def happened(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.head = event.headers
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.infos.append(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.content += event.data
            self.streams.codec.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.reset = event.error_code

    def until(self, holds):
        def looked():
            if not holds() and self.reset is not None:
                raise EOFError(f"reset by {self.reset}")
            return holds()

        self.streams.until(looked)

    def send_head(self, fields, end=False):
        self.streams.do(lambda: self.streams.codec.send_headers(self.id, fields, end_stream=end))

    def send(self, data):
        codec = self.streams.codec
        while data:
            self.until(lambda: codec.local_flow_control_window(self.id) > 0)
            room = min(codec.local_flow_control_window(self.id), codec.max_outbound_frame_size, len(data))
            self.streams.do(lambda: codec.send_data(self.id, data[:room]))
            data = data[room:]

    def receive(self):
        """Content that came; nothing at its end."""
        self.until(lambda: self.content or self.ended)
        with self.streams.changed:
            content, self.content = bytes(self.content), bytearray()
        return content

    def finish(self):
        self.streams.do(lambda: self.streams.codec.end_stream(self.id))

    def break_off(self, code=2):
        self.streams.do(lambda: self.streams.codec.reset_stream(self.id, code))


class Chunks:
    """What follows an HTTP/1 head: by its length, in chunks with trailers behind them, or until the connection ends."""

    def __init__(self, line, rest):
        self.line, self.rest = line, rest

    def read(self, head, bodiless=False):
        """Content and trailers; `bodiless`: no content follows, whatever the head says."""
        length = head.get("content-length")
        if bodiless:
            return b"", []
        if head.get("transfer-encoding") == "chunked":
            return self.chunks()
        if length is not None or head.start.endswith("HTTP/1.1"):
            return self.bytes(int(length or 0)), []
        while received := self.line.receive():
            self.rest += received
        return self.rest, []

    def more(self):
        received = self.line.receive()
        if not received:
            raise EOFError("in the middle of a message")
        self.rest += received

    def bytes(self, count):
        while len(self.rest) < count:
            self.more()
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def text_line(self):
        while b"\r\n" not in self.rest:
            self.more()
        text, _, self.rest = self.rest.partition(b"\r\n")
        return text.decode("latin-1")

    def chunks(self):
        content = b""
        while size := int(self.text_line().split(";")[0], 16):
            content += self.bytes(size)
            assert self.bytes(2) == b"\r\n"
        trailers = []
        while text := self.text_line():
            name, _, value = text.partition(":")
            trailers.append((name.lower(), value.strip()))
        return content, trailers
