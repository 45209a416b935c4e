"""A tunnel by CONNECT over HTTP/2: bytes there and back, before and after another configuration, then our half closed, then all that is left.

tunnel.py PORT AUTHORITY: prints the status; when it is 200 sends a word and waits for it, prints `ready`, waits for a line, sends much, ends its half,
and prints how many bytes came in all before the other half ended.
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events

PATIENCE = 20
LARGE = bytes(range(256)) * 1024


class Tunnel:
    def __init__(self, port, authority):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.codec = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.codec.initiate_connection()
        self.stream = self.codec.get_next_available_stream_id()
        self.codec.send_headers(self.stream, [(":method", "CONNECT"), (":authority", authority)])
        self.content, self.status, self.ended = bytearray(), None, False
        while self.status is None:
            self.step()

    def step(self):
        self.socket.sendall(self.codec.data_to_send())
        received = self.socket.recv(1 << 16)
        assert received, "the connection ended"
        for event in self.codec.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.DataReceived):
                self.content += event.data
                self.codec.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                # Refused, it takes nothing more of ours (RFC 9113 section 8.1).
                assert self.status not in (None, "200") and event.error_code == 0, event
            elif isinstance(event, h2.events.ConnectionTerminated):
                raise AssertionError(event)
        self.socket.sendall(self.codec.data_to_send())

    def send(self, data):
        while data:
            room = min(self.codec.local_flow_control_window(self.stream), self.codec.max_outbound_frame_size, len(data))
            if room == 0:
                self.step()
                continue
            self.codec.send_data(self.stream, data[:room])
            data = data[room:]
            self.socket.sendall(self.codec.data_to_send())


def main(port, authority):
    tunnel = Tunnel(int(port), authority)
    print(tunnel.status, flush=True)
    if tunnel.status != "200":
        return
    tunnel.send(b"word")
    while tunnel.content != b"word":
        tunnel.step()
    print("ready", flush=True)
    sys.stdin.readline()
    tunnel.send(LARGE)
    tunnel.codec.end_stream(tunnel.stream)
    while not tunnel.ended:
        tunnel.step()
    assert tunnel.content == b"word" + LARGE
    print(len(tunnel.content), flush=True)


main(*sys.argv[1:])
