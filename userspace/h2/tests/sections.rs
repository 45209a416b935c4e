//! What RFC 9113, RFC 7541, RFC 8441 and RFC 9218 ask of a recipient, section by section: frames in, what the codec made of them and what it
//! answered out. Each row is also fed byte by byte.

#![expect(clippy::too_many_lines, reason = "tables are long")]

mod common;

use common::{client, frames, request, server, server_with, story};
use h2::{Connection, Settings};
use model::Body;
use std::rc::Rc;

const GET: &str = "1 GET http a / .";
const POST: &str = "1 POST http a / unknown";

fn check(make: impl Fn() -> Connection, rows: &[(&str, &str, &str)]) {
    for (section, input, expect) in rows {
        let expect = expect.replace("GET1", GET).replace("POST1", POST);
        let input = frames(input);
        assert_eq!(story(make(), &[&input]), expect, "{section}");
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(story(make(), &single), expect, "{section}, byte by byte");
    }
}

/// Of a connection that has seen nothing yet: our greeting is not shown.
fn check_start(side: fn(Rc<Settings>) -> Connection, rows: &[(&str, &[u8], &str)]) {
    for (section, input, expect) in rows {
        let make = || {
            let mut connection = side(Rc::new(Settings::default()));
            common::transmitted(&mut connection);
            connection
        };
        assert_eq!(story(make(), &[input]), *expect, "{section}");
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(story(make(), &single), *expect, "{section}, byte by byte");
    }
}

#[test]
fn starting() {
    let with = |text: &str| [common::PREFACE, &frames(text)].concat();
    check_start(
        Connection::server,
        &[
            ("9113 3.4 preface and settings", &with("settings 3=10"), "=> ack"),
            ("9113 3.4 not ours", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 3.4 a wrong end", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 3.4 another frame first", &with("ping 12345678"), "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 3.4 an acknowledgement first", &with("settings ack"), "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 3.4 a request first", &with("get 1"), "fault http2_protocol => goaway 0 ProtocolError"),
        ],
    );
    check_start(
        Connection::client,
        &[
            ("9113 3.4 settings", &frames("settings"), "=> ack"),
            ("9113 3.4 another frame first", &frames("window 0 1"), "fault malformed_response => goaway 0 ProtocolError"),
            ("9113 3.4 HTTP/1", b"HTTP/1.1 400 Bad Request\r\n\r\n", "fault malformed_response => goaway 0 ProtocolError"),
        ],
    );
}

#[test]
fn frames_and_streams() {
    check(
        server,
        &[
            ("9113 4.1 unknown types are ignored", "raw 22 0 0 0011; raw 22 255 1 ; ping 12345678", "=> pong 12345678"),
            ("9113 4.1 unknown flags are ignored", "raw 6 22 0 3132333435363738", "=> pong 12345678"),
            ("9113 4.1 the reserved bit is ignored", "raw 6 0 2147483648 3132333435363738", "=> pong 12345678"),
            ("9113 4.2 the largest frame", "post 1; window 0 1", "POST1 =>"),
            ("9113 4.3 a block that cannot be decoded", "headers 1 es eh #40", "fault http2_protocol => goaway 0 CompressionError"),
            ("9113 4.3 fragments", "headers 1 es :method=GET :scheme=http; cont 1 :authority=a; cont 1 eh :path=/", "GET1 =>"),
            ("9113 4.3 another frame between", "headers 1 es :method=GET; ping 12345678", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 4.3 a priority between", "headers 1 es :method=GET; priority 1 3", "fault http2_protocol => goaway 0 ProtocolError"),
            (
                "9113 4.3 an unknown frame between",
                "headers 1 es :method=GET; raw 22 0 0 00",
                "fault http2_protocol => goaway 0 ProtocolError",
            ),
            (
                "9113 4.3 another stream's block between",
                "headers 1 es :method=GET; get 3",
                "fault http2_protocol => goaway 0 ProtocolError",
            ),
            (
                "9113 4.3 another stream's continuation",
                "headers 1 es :method=GET; cont 3 eh x=y",
                "fault http2_protocol => goaway 0 ProtocolError",
            ),
            ("9113 5.1 idle: DATA", "data 1 es x", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 5.1 idle: RST_STREAM", "rst 1 8", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 5.1 idle: WINDOW_UPDATE", "window 1 100", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 5.1 idle: CONTINUATION", "cont 1 eh x=y", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 5.1 idle: PRIORITY", "priority 1 3; get 1", "GET1 =>"),
            ("9113 5.1 half-closed: DATA", "get 1; data 1 es x", "GET1 | 1 reset http2_protocol Unsafe => rst 1 StreamClosed"),
            ("9113 5.1 half-closed: HEADERS", "get 1; headers 1 es eh x=y", "GET1 | 1 reset http2_protocol Unsafe => rst 1 StreamClosed"),
            ("9113 5.1 half-closed: CONTINUATION", "get 1; cont 1 eh x=y", "GET1 | fault http2_protocol => goaway 1 ProtocolError"),
            ("9113 5.1 half-closed: WINDOW_UPDATE, PRIORITY", "get 1; window 1 9; priority 1 3", "GET1 =>"),
            ("9113 5.1 half-closed: RST_STREAM", "get 1; rst 1 8", "GET1 | 1 reset downstream_reset Unsafe =>"),
            (
                "9113 5.1 closed by a reset: DATA",
                "post 1; rst 1 8; data 1 es x",
                "POST1 | 1 reset downstream_reset Unsafe | fault http2_protocol => goaway 1 StreamClosed",
            ),
            (
                "9113 5.1 closed by a reset: HEADERS",
                "post 1; rst 1 8; headers 1 es eh x=y",
                "POST1 | 1 reset downstream_reset Unsafe | fault http2_protocol => goaway 1 StreamClosed",
            ),
            (
                "9113 5.1 closed by a reset: CONTINUATION",
                "post 1; rst 1 8; cont 1 eh x=y",
                "POST1 | 1 reset downstream_reset Unsafe | fault http2_protocol => goaway 1 ProtocolError",
            ),
            (
                "9113 5.1 closed by a reset: the rest",
                "post 1; rst 1 8; window 1 1; priority 1 3; rst 1 8",
                "POST1 | 1 reset downstream_reset Unsafe =>",
            ),
            (
                "9113 5.1 reset by us: all is ignored",
                "get 1; data 1 es x; data 1 x; headers 1 es eh x=y; rst 1 0; window 1 1; get 3",
                "GET1 | 1 reset http2_protocol Unsafe | 3 GET http a / . => rst 1 StreamClosed",
            ),
            ("9113 5.1.1 an even stream", "get 2", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 5.1.1 a lower stream", "get 5; get 3", "5 GET http a / . | fault http2_protocol => goaway 5 ProtocolError"),
            (
                "9113 5.1.1 DATA on a stream passed over",
                "get 5; data 3 x",
                "5 GET http a / . | fault http2_protocol => goaway 5 ProtocolError",
            ),
            (
                "9113 5.3.1 a stream that depends on itself",
                "headers 1 es eh prio :method=GET :scheme=http :authority=a :path=/",
                "1 rejected http2_protocol => rst 1 ProtocolError",
            ),
            ("9113 5.3.1 PRIORITY on itself", "post 1; priority 1 1", "POST1 | 1 reset http2_protocol Unsafe => rst 1 ProtocolError"),
            ("9113 5.3.1 PRIORITY on itself, idle", "priority 1 1", "fault http2_protocol => goaway 0 ProtocolError"),
        ],
    );
}

#[test]
fn frame_definitions() {
    check(
        server,
        &[
            ("9113 6.1 DATA", "post 1; data 1 hello; data 1 es", "POST1 | 1 \"hello\" | 1 end =>"),
            ("9113 6.1 padded", "post 1; data 1 pad hello; data 1 es pad", "POST1 | 1 \"hello\" | 1 end =>"),
            ("9113 6.1 nothing but padding", "post 1; raw 0 9 1 00", "POST1 | 1 end =>"),
            ("9113 6.1 on the connection", "data 0 x", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.1 too much padding", "post 1; raw 0 8 1 056162", "POST1 | fault http2_protocol => goaway 1 ProtocolError"),
            (
                "9113 6.1 padding of the payload's size",
                "post 1; raw 0 8 1 036162",
                "POST1 | fault http2_protocol => goaway 1 ProtocolError",
            ),
            ("9113 6.1 no room for the padding's length", "post 1; raw 0 8 1", "POST1 | fault http2_protocol => goaway 1 FrameSizeError"),
            ("9113 6.2 HEADERS on the connection", "headers 0 es eh x=y", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.2 padded, with a priority", "raw 1 45 1 02 00000003 10 828684410161 0000", "GET1 =>"),
            ("9113 6.2 padded", "headers 1 es eh pad :method=GET :scheme=http :authority=a :path=/", "GET1 =>"),
            ("9113 6.2 too much padding", "raw 1 13 1 0582868401", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.2 no room for the priority", "raw 1 37 1 00000003", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.3 PRIORITY on the connection", "priority 0 3", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.3 of a wrong size", "post 1; raw 2 0 1 00000003", "POST1 | 1 reset http2_protocol Unsafe => rst 1 FrameSizeError"),
            ("9113 6.3 of a wrong size, idle", "raw 2 0 1 000000030101", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.4 RST_STREAM on the connection", "rst 0 8", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.4 of a wrong size", "post 1; raw 3 0 1 000008", "POST1 | fault http2_protocol => goaway 1 FrameSizeError"),
            ("9113 6.5 SETTINGS", "settings 1=0 2=0 3=0 4=0 5=16384 6=1 9=1 99=7", "=> ack"),
            ("9113 6.5 on a stream", "raw 4 0 1", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.5 an acknowledgement with a payload", "raw 4 1 0 000100000000", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.5 of a wrong size", "raw 4 0 0 0001000000", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.5.2 push, neither 0 nor 1", "settings 2=2", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.5.2 a window too large", "settings 4=2147483648", "fault http2_protocol => goaway 0 FlowControlError"),
            ("9113 6.5.2 frames too small", "settings 5=16383", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.5.2 frames too large", "settings 5=16777216", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.6 PUSH_PROMISE", "post 1; raw 5 4 1 00000002", "POST1 | fault http2_protocol => goaway 1 ProtocolError"),
            ("9113 6.7 PING", "ping abcdefgh", "=> pong abcdefgh"),
            ("9113 6.7 an answer to no question", "ping ack abcdefgh", "=>"),
            ("9113 6.7 on a stream", "raw 6 0 1 3132333435363738", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.7 of a wrong size", "raw 6 0 0 313233343536", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.8 GOAWAY", "goaway 0 0; get 1", "draining | GET1 =>"),
            ("9113 6.8 on a stream", "raw 7 0 1 0000000000000000", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.8 of a wrong size", "raw 7 0 0 00000000", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.9 an increment of 0", "window 0 0", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9113 6.9 on a stream", "post 1; window 1 0", "POST1 | 1 reset http2_protocol Unsafe => rst 1 ProtocolError"),
            ("9113 6.9 of a wrong size", "raw 8 0 0 000001", "fault http2_protocol => goaway 0 FrameSizeError"),
            ("9113 6.9.1 beyond 2^31-1", "window 0 2147483647", "fault http2_protocol => goaway 0 FlowControlError"),
            ("9113 6.9.1 on a stream", "post 1; window 1 2147483647", "POST1 | 1 reset http2_protocol Unsafe => rst 1 FlowControlError"),
            (
                "9113 6.9.2 by settings",
                "post 1; window 1 2147418112; settings 4=65536",
                "POST1 | fault http2_protocol => goaway 1 FlowControlError",
            ),
            ("9113 6.10 behind a whole block", "get 1; cont 1 eh x=y", "GET1 | fault http2_protocol => goaway 1 ProtocolError"),
            ("9113 6.10 on the connection", "headers 1 es :method=GET; cont 0 eh x=y", "fault http2_protocol => goaway 0 ProtocolError"),
            (
                "9113 6.10 behind DATA",
                "post 1; data 1 x; cont 1 eh x=y",
                "POST1 | 1 \"x\" | fault http2_protocol => goaway 1 ProtocolError",
            ),
            ("9113 7 unknown codes", "get 1; rst 1 255; goaway 0 255", "GET1 | 1 reset downstream_reset Unsafe | draining =>"),
            ("9218 7.1 PRIORITY_UPDATE", "get 1; update 1 u=1,_i; update 3 u=0", "GET1 =>"),
            ("9218 7.1 of the connection", "update 0 u=1", "fault http2_protocol => goaway 0 ProtocolError"),
            ("9218 7.1 on a stream", "get 1; raw 16 0 1 00000001", "GET1 | fault http2_protocol => goaway 1 ProtocolError"),
            ("9218 7.1 of a wrong size", "raw 16 0 0 000001", "fault http2_protocol => goaway 0 FrameSizeError"),
        ],
    );
    let large = |kind: &str, flags: u8, stream: u32| format!("raw {kind} {flags} {stream} {}", "00".repeat(16_385));
    for (kind, flags, stream) in [("0", 0, 1), ("1", 5, 3), ("4", 0, 0), ("22", 0, 0)] {
        let input = frames(&format!("post 1; {}", large(kind, flags, stream)));
        assert_eq!(story(server(), &[&input]), format!("{POST} | fault http2_protocol => goaway 1 FrameSizeError"), "9113 4.2 type {kind}");
    }
}

#[test]
fn messages() {
    let malformed = "1 rejected malformed_head => rst 1 ProtocolError";
    check(
        server,
        &[
            ("9113 8.1 trailers", "post 1; data 1 x; headers 1 es eh a=b", "POST1 | 1 \"x\" | 1 trailers a=b | 1 end =>"),
            (
                "9113 8.1 trailers that do not end",
                "post 1; headers 1 eh a=b",
                "POST1 | 1 reset http2_protocol Unsafe => rst 1 ProtocolError",
            ),
            (
                "9113 8.1 pseudo-header fields in trailers",
                "post 1; headers 1 es eh :path=/",
                "POST1 | 1 reset http2_protocol Unsafe => rst 1 ProtocolError",
            ),
            ("9110 6.5.1 trailers that frame", "post 1; headers 1 es eh content-length=0 host=b cookie=c", "POST1 | 1 end =>"),
            (
                "9113 8.1.1 length",
                "post 1 content-length=2; data 1 a; data 1 es b",
                "1 POST http a / content-length=2 known 2 | 1 \"ab\" | 1 end =>",
            ),
            (
                "9113 8.1.1 less than announced",
                "post 1 content-length=2; data 1 es a",
                "1 POST http a / content-length=2 known 2 | 1 \"a\" | 1 reset bad_framing Unsafe => rst 1 ProtocolError",
            ),
            (
                "9113 8.1.1 less, with trailers",
                "post 1 content-length=2; data 1 a; headers 1 es eh x=y",
                "1 POST http a / content-length=2 known 2 | 1 \"a\" | 1 reset bad_framing Unsafe => rst 1 ProtocolError",
            ),
            ("9113 8.1.1 nothing of what was announced", "get 1 content-length=2", malformed),
            ("9113 8.1.1 nothing announced", "get 1 content-length=0", "1 GET http a / content-length=0 known 0 . =>"),
            ("9110 8.6 no number", "post 1 content-length=+2", malformed),
            ("9110 8.6 two lengths", "post 1 content-length=2 content-length=2", malformed),
            ("9113 8.2 upper case", "get 1 X-A=b", malformed),
            ("9113 8.2.1 a name that is none", "get 1 x(=b", malformed),
            ("9113 8.2.1 an empty name", "headers 1 es eh #8286 #410161 #84 #00 00 0161", malformed),
            (
                "9113 8.2.1 a line end in a value",
                "headers 1 es eh :method=GET :scheme=http :authority=a :path=/ #000178 03610a62",
                malformed,
            ),
            ("9113 8.2.1 white space around a value", "get 1 x=_b", malformed),
            ("9113 8.2.1 white space behind a value", "get 1 x=b_", malformed),
            ("9113 8.2.2 connection", "get 1 connection=close", malformed),
            ("9113 8.2.2 keep-alive", "get 1 keep-alive=5", malformed),
            ("9113 8.2.2 proxy-connection", "get 1 proxy-connection=close", malformed),
            ("9113 8.2.2 transfer-encoding", "get 1 transfer-encoding=chunked", malformed),
            ("9113 8.2.2 upgrade", "get 1 upgrade=h2c", malformed),
            ("9113 8.2.2 te", "get 1 te=gzip", malformed),
            ("9113 8.2.2 te: trailers", "get 1 te=trailers", "1 GET http a / te=trailers . =>"),
            ("9113 8.2.3 crumbs", "get 1 cookie=a=b x=y cookie=c=d cookie=e=f", "1 GET http a / cookie=a=b; c=d; e=f x=y . =>"),
            ("9113 8.3 unknown", "get 1 :test=x", malformed),
            ("9113 8.3 of responses", "get 1 :status=200", malformed),
            ("9113 8.3 behind a field", "headers 1 es eh :method=GET :scheme=http :authority=a x=y :path=/", malformed),
            ("9113 8.3 twice", "get 1 :path=/", malformed),
            ("9113 8.3.1 no method", "headers 1 es eh :scheme=http :authority=a :path=/", malformed),
            ("9113 8.3.1 no scheme", "headers 1 es eh :method=GET :authority=a :path=/", malformed),
            ("9113 8.3.1 no path", "headers 1 es eh :method=GET :authority=a :scheme=http", malformed),
            ("9113 8.3.1 an empty path", "headers 1 es eh :method=GET :scheme=http :authority=a :path=", malformed),
            ("9113 8.3.1 no path at all", "headers 1 es eh :method=GET :scheme=http :authority=a :path=x", malformed),
            ("9113 8.3.1 a fragment", "headers 1 es eh :method=GET :scheme=http :authority=a :path=/#x", malformed),
            ("9113 8.3.1 another scheme", "headers 1 es eh :method=GET :scheme=ftp :authority=a :path=/", malformed),
            ("9113 8.3.1 a method that is none", "headers 1 es eh :method=G,T :scheme=http :authority=a :path=/", malformed),
            ("9113 8.3.1 asterisk", "headers 1 es eh :method=OPTIONS :scheme=http :authority=a :path=*", "1 OPTIONS http a * . =>"),
            ("9113 8.3.1 asterisk for another", "headers 1 es eh :method=GET :scheme=http :authority=a :path=*", malformed),
            ("9113 8.3.1 Host alone", "headers 1 es eh :method=GET :scheme=https :path=/ host=b", "1 GET https b / host=b . =>"),
            ("9113 8.3.1 neither", "headers 1 es eh :method=GET :scheme=http :path=/", malformed),
            ("9113 8.3.1 both, the same", "get 1 host=A", "1 GET http a / host=A . =>"),
            ("9113 8.3.1 both, different", "get 1 host=b", malformed),
            ("9113 8.3.1 two hosts", "get 1 host=a host=a", malformed),
            ("9113 8.3.1 user information", "headers 1 es eh :method=GET :scheme=http :authority=u@a :path=/", malformed),
            (
                "9113 8.5 CONNECT",
                "headers 1 eh :method=CONNECT :authority=a:1; data 1 x; data 1 es",
                "1 CONNECT http a:1  unknown | 1 \"x\" | 1 end =>",
            ),
            ("9113 8.5 with a path", "headers 1 eh :method=CONNECT :authority=a:1 :path=/ :scheme=http", malformed),
            ("9113 8.5 without authority", "headers 1 eh :method=CONNECT", malformed),
            ("9113 8.5 without a port", "headers 1 eh :method=CONNECT :authority=a", malformed),
            (
                "9113 8.5 fields in a tunnel",
                "headers 1 eh :method=CONNECT :authority=a:1; headers 1 es eh x=y",
                "1 CONNECT http a:1  unknown | 1 reset http2_protocol Unsafe => rst 1 ProtocolError",
            ),
            (
                "8441 4 a WebSocket",
                "headers 1 eh :method=CONNECT :protocol=websocket :scheme=https :path=/chat :authority=a",
                "1 GET https a /chat websocket unknown =>",
            ),
            ("8441 4 without a path", "headers 1 eh :method=CONNECT :protocol=websocket :authority=a:1", malformed),
            ("8441 4 for another method", "get 1 :protocol=websocket", malformed),
            ("9110 10.1.1 expectations", "post 1 expect=100-continue", "1 POST http a / expect=100-continue unknown =>"),
            ("9110 10.1.1 nothing to wait for", "get 1 expect=100-continue", "GET1 =>"),
            ("9110 10.1.1 others", "post 1 expect=x; data 1 es abc", "1 refused expectation_failed =>"),
            ("a name in disguise", "get 1 content_length=2", malformed),
        ],
    );
    let plain = || server_with(Settings { connect_protocol: false, ..Settings::default() });
    check(plain, &[("8441 3 not offered", "headers 1 eh :method=CONNECT :protocol=x :scheme=http :path=/ :authority=a", malformed)]);
}

#[test]
fn compression() {
    let broken = "fault http2_protocol => goaway 0 CompressionError";
    check(
        server,
        &[
            ("7541 2.3.3 index 0", "headers 1 es eh #80", broken),
            ("7541 2.3.3 an index beyond both tables", "headers 1 es eh #8286 84 be", broken),
            ("7541 2.3.3 a name's index beyond both tables", "headers 1 es eh #8286 84 7f 00 0161", broken),
            ("7541 4.2 a size update behind a field", "headers 1 es eh #8286 8441 0161 20", broken),
            ("7541 4.2 size updates in front", "headers 1 es eh #20 3fe1 1f 8286 8441 0161", "GET1 =>"),
            ("7541 5.2 padding longer than 7 bits", "headers 1 es eh #8286 84 41 82 1fff", broken),
            ("7541 5.2 padding of zeroes", "headers 1 es eh #8286 84 41 81 18", broken),
            ("7541 5.2 the end of a string in it", "headers 1 es eh #8286 84 41 84 ffff fffc", broken),
            ("7541 5.2 Huffman", "headers 1 es eh #8286 84 41 81 1f", "GET1 =>"),
            ("7541 6.3 a table larger than allowed", "headers 1 es eh #3fe2 1f 8286 84 41 0161", broken),
            (
                "7541 2.3.2 the table lives on",
                "headers 1 es eh #8286 84 41 0161; headers 3 es eh #8286 84 be",
                "GET1 | 3 GET http a / . =>",
            ),
            (
                "9113 4.3 also behind a refused request",
                "headers 1 es eh #82 86 84 41 0161 82; headers 3 es eh #8286 84 be",
                "1 rejected malformed_head | 3 GET http a / . => rst 1 ProtocolError",
            ),
        ],
    );
}

#[test]
fn responses() {
    let asked = |method: &'static str| {
        move || {
            let mut connection = client();
            let body = if method == "POST" { Body::Unknown } else { Body::None };
            connection.open(&request(method, "/", body)).unwrap();
            connection.open(&request("GET", "/b", Body::None)).unwrap();
            common::transmitted(&mut connection);
            connection
        }
    };
    let malformed = "1 reset malformed_response Unsafe => rst 1 ProtocolError";
    check(
        asked("GET"),
        &[
            ("9113 8.1 a response", "headers 1 eh :status=200 a=b; data 1 x; data 1 es", "1 200 a=b unknown | 1 \"x\" | 1 end =>"),
            ("9113 8.1 interim", "headers 1 eh :status=103; headers 1 es eh :status=204", "1 info 103 | 1 204 . =>"),
            ("9113 8.1 interim that ends", "headers 1 es eh :status=103", malformed),
            ("9113 8.6 switching protocols", "headers 1 eh :status=101", malformed),
            ("9113 8.3.2 no status", "headers 1 es eh a=b", malformed),
            ("9113 8.3.2 a status that is none", "headers 1 es eh :status=20", malformed),
            ("9113 8.3.2 of requests", "headers 1 es eh :status=200 :path=/", malformed),
            (
                "9113 8.1.1 lengths",
                "headers 1 eh :status=200 content-length=3; data 1 es abc",
                "1 200 content-length=3 known 3 | 1 \"abc\" | 1 end =>",
            ),
            (
                "9113 8.1.1 more than announced",
                "headers 1 eh :status=200 content-length=3; data 1 abcd",
                "1 200 content-length=3 known 3 | 1 reset malformed_response Unsafe => rst 1 ProtocolError",
            ),
            ("9110 8.6 a 304 may tell a length", "headers 1 es eh :status=304 content-length=3", "1 304 content-length=3 . =>"),
            (
                "9110 6.4.1 content of a 204",
                "headers 1 eh :status=204; data 1 es x",
                "1 204 | 1 reset malformed_response Unsafe => rst 1 ProtocolError",
            ),
            ("9113 8.1 data before the head", "data 1 x", malformed),
            ("9113 8.2.2 connection", "headers 1 es eh :status=200 connection=close", malformed),
            ("9113 5.1 idle", "headers 5 es eh :status=200", "fault malformed_response => goaway 0 ProtocolError"),
            ("9113 5.1.1 a stream of the server's", "headers 2 es eh :status=200", "fault malformed_response => goaway 0 ProtocolError"),
            ("9113 8.4 pushes", "raw 5 4 1 00000002 88", "fault malformed_response => goaway 0 ProtocolError"),
            ("9113 6.5.2 a server cannot ask for pushes", "settings 2=1", "fault malformed_response => goaway 0 ProtocolError"),
            ("9218 7.1 PRIORITY_UPDATE", "update 1 u=1", "fault malformed_response => goaway 0 ProtocolError"),
            ("9113 8.7 refused", "rst 1 7", "1 reset stream_refused Safe =>"),
            ("9113 5.4.2 cancelled", "rst 1 8", "1 reset upstream_reset Unsafe =>"),
            (
                "9113 6.8 what was not looked at",
                "goaway 1 0; headers 1 es eh :status=200",
                "draining | 3 reset stream_refused Safe | 1 200 . =>",
            ),
            (
                "9113 6.8 told twice",
                "goaway 2147483647 0; goaway 0 0",
                "draining | 3 reset stream_refused Safe | 1 reset stream_refused Safe =>",
            ),
        ],
    );
    check(
        asked("HEAD"),
        &[
            ("9110 9.3.2 HEAD", "headers 1 es eh :status=200 content-length=3", "1 200 content-length=3 . =>"),
            (
                "9113 8.1 its end may come later",
                "headers 1 eh :status=200 content-length=3; data 1 es",
                "1 200 content-length=3 | 1 end =>",
            ),
            (
                "9110 9.3.2 but no content",
                "headers 1 eh :status=200; data 1 es x",
                "1 200 | 1 reset malformed_response Unsafe => rst 1 ProtocolError",
            ),
        ],
    );
    check(
        asked("POST"),
        &[
            ("9113 8.1 the rest of the request is not wanted", "headers 1 es eh :status=200; rst 1 0; rst 1 0", "1 200 . =>"),
            ("9113 8.1 a reset behind the response", "headers 1 es eh :status=200; rst 1 8", "1 200 . | 1 reset upstream_reset Unsafe =>"),
        ],
    );
}

#[test]
fn flow_control() {
    let small = || server_with(Settings { stream_window: 10, ..Settings::default() });
    check(
        small,
        &[
            ("9113 6.9.1 a stream's window", "post 1; data 1 0123456789", "POST1 | 1 \"0123456789\" =>"),
            ("9113 6.9.1 exceeded", "post 1; data 1 01234567890", "POST1 | 1 reset http2_protocol Unsafe => rst 1 FlowControlError"),
            (
                "9113 6.9.1 padding counts, and is given back",
                "post 1; data 1 pad 012345; data 1 es pad",
                "POST1 | 1 \"012345\" | 1 reset http2_protocol Unsafe => rst 1 FlowControlError",
            ),
        ],
    );
    let connection = || server_with(Settings { connection_window: 65_535, stream_window: 1 << 20, ..Settings::default() });
    let data = format!("raw 0 0 1 {};", "61".repeat(16_000));
    let input = frames(&format!("post 1; {}", data.repeat(5)));
    let told = story(connection(), &[&input]);
    assert!(told.ends_with("fault http2_protocol => goaway 1 FlowControlError"), "9113 6.9.1 the connection's window");
}
