//! What a client that breaks rules of HTTP/2, or keeps strange ones, gets to see: RFC 9113 and RFC 7541 section by section, frame by frame,
//! over the real program, in the clear and through TLS, with an origin of either version behind and with nobody.
//!
//! Each row is a connection of its own. How a case is written stands in `frames.rs`, what may be expected in `wire.rs`.

#![expect(clippy::too_many_lines, reason = "tables are long")]

use e2e::{Came, Origin, Stage, Target, Wire};
use std::net::SocketAddr;

/// Answered by an origin over HTTP/1, by one over HTTP/2, and by the program itself.
const HOSTS: [&str; 3] = ["one.test", "two.test", "nobody.test"];

type Row = (&'static str, &'static str);

/// Plays each row on all ways; the faults of all of them at once.
fn check(rows: &[Row], hosts: &[&str], greeted: bool) {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let mut wrong = Vec::new();
    for host in hosts {
        for secure in [false, true] {
            let (scheme, address) = if secure { ("https", stage.secure) } else { ("http", stage.plain) };
            for (case, script) in rows {
                let mut wire = connect(&stage, address, secure);
                if greeted {
                    wire.greet();
                }
                if let Err(error) = wire.play(script, Target { scheme, authority: host }) {
                    wrong.push(format!("{case} ({scheme}, {host}): {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    // Whatever they did, others are served.
    let mut wire = connect(&stage, stage.plain, false);
    wire.greet();
    wire.play("get 1; > head 1 200; > end 1", Target { scheme: "http", authority: "one.test" }).expect("it serves");
}

fn connect(stage: &Stage, address: SocketAddr, secure: bool) -> Wire {
    let ca = stage.authority.file();
    // Nobody has a certificate of their own.
    Wire::connect(address, secure.then_some((ca.as_path(), "one.test")))
}

const GET: &str = ":method=GET :scheme=SCHEME :path=/ :authority=HOST";

/// Rows in which `REQUEST` stands for the fields of a GET.
fn rows(rows: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    rows.iter().map(|(case, script)| (*case, &*script.replace("REQUEST", GET).leak())).collect()
}

#[test]
fn beginnings() {
    let rows = [
        ("3.4 the preface", "= PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n; settings; > ack; get 1; > end 1"),
        ("3.4 something else", "= INVALID CONNECTION PREFACE\\r\\n\\r\\n; > closed"),
        ("3.4 settings do not come first", "= PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n; ping h2-spec!; > goaway PROTOCOL_ERROR; > closed"),
        (
            "3.4 garbage behind the preface",
            "= PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\nGET / HTTP/1.1\\r\\n\\r\\n; > goaway FRAME_SIZE_ERROR|PROTOCOL_ERROR; > closed",
        ),
    ];
    check(&rows, &["one.test"], false);
}

#[test]
fn the_greeting_comes_unasked() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    // (In the clear it could be HTTP/1.)
    let mut wire = connect(&stage, stage.secure, true);
    assert!(matches!(wire.came(), Came::Settings(_)), "{wire:?}");
}

#[test]
fn what_has_to_work() {
    let rows = rows(&[
        ("5.1 PRIORITY of an idle stream", "priority 1 0; ping h2-spec!; > pong h2-spec!; get 1; > end 1"),
        ("5.1 PRIORITY of a later stream, then a request", "priority 3 0; get 1; > end 1"),
        ("5.1 half-closed: WINDOW_UPDATE", "settings 4=0; > ack; get 1; window 1 100; > head 1; > end 1"),
        ("5.1 half-closed: PRIORITY", "get 1; priority 1 0; > head 1; > end 1"),
        ("5.1 half-closed: RST_STREAM", "get 1; rst 1 8; ping h2-spec!; > pong h2-spec!"),
        ("5.1 closed: PRIORITY", "get 1; > end 1; priority 1 0; ping h2-spec!; > pong h2-spec!"),
        ("5.1 closed: WINDOW_UPDATE", "get 1; > end 1; window 1 1; ping h2-spec!; > pong h2-spec!"),
        ("5.1 closed: RST_STREAM", "get 1; > end 1; rst 1 8; ping h2-spec!; > pong h2-spec!"),
        ("6.1 DATA", "post 1; data 1 es test; > head 1; > end 1"),
        ("6.1 DATA in pieces", "post 1; data 1 test; data 1 es test; > head 1; > end 1"),
        ("6.1 DATA padded", "post 1; data 1 es pad test; > head 1; > end 1"),
        ("6.2 HEADERS", "get 1; > head 1; > end 1"),
        ("6.2 HEADERS padded", "get 1 pad; > head 1; > end 1"),
        ("6.2 HEADERS with a priority", "get 1 prio; > head 1; > end 1"),
        ("6.3 PRIORITY, least weight", "priority 1 0 0; get 1; > end 1"),
        ("6.3 PRIORITY, most weight", "priority 1 0 255; get 1; > end 1"),
        ("6.3 PRIORITY on a stream", "priority 1 0 255; priority 3 1 255; get 5; > end 5"),
        ("6.3 PRIORITY, exclusive", "priority 1 2147483651 255; get 5; > end 5"),
        ("6.3 PRIORITY of an idle stream", "priority 5 0 255; priority 1 5 255; get 1; > end 1"),
        ("6.4 RST_STREAM", "get 1; rst 1 8; get 3; > end 3"),
        ("6.5 SETTINGS", "settings 3=100; > ack"),
        ("6.5 SETTINGS, all of them", "settings 1=0 2=0 3=10 4=65535 5=16384 6=1000; > ack; get 1; > end 1"),
        ("6.7 PING", "ping h2-spec!; > pong h2-spec!"),
        ("6.8 GOAWAY", "goaway 0 0; ping h2-spec!; > pong h2-spec!"),
        ("6.9 WINDOW_UPDATE", "window 0 1; get 1; window 1 1; > head 1; > end 1"),
        ("6.10 CONTINUATION", "headers 1 es REQUEST; cont 1 eh x=y; > head 1; > end 1"),
        ("6.10 CONTINUATIONs", "headers 1 es REQUEST; cont 1 x=y; cont 1 eh x=z; > head 1; > end 1"),
        ("8.1 GET", "get 1; > head 1; > end 1"),
        ("8.1 HEAD", "head 1; > end 1"),
        ("8.1 POST", "post 1; data 1 es test; > head 1; > end 1"),
        ("8.1 POST with trailers", "post 1 trailer=x-test; data 1 test; headers 1 es eh x-test=ok; > head 1; > end 1"),
        ("4.1 an unknown type", "raw 22 0 0 0000000000000000; ping h2-spec!; > pong h2-spec!"),
        ("4.1 unknown flags", "raw 6 22 0 68322d7370656321; > pong h2-spec!"),
        ("4.1 the reserved bit", "raw 6 0 2147483648 68322d7370656321; > pong h2-spec!"),
        ("4.2 the largest frame", "post 1; data 1 es x*16384; > head 1; > end 1"),
        ("4.2 the largest head in one frame", "get 1 x=y*4000 a=b*4000 c=d*4000; > head 1; > end 1"),
        ("5.5 an unknown frame", "raw 16 0 0 00000001; raw 22 0 0 0000000000000000; raw 255 255 7; ping h2-spec!; > pong h2-spec!"),
        ("6.5.2 an unknown setting", "settings 255=1; ping h2-spec!; > pong h2-spec!"),
        ("6.5.3 each has its answer", "settings 4=100; > ack; settings 4=101; > ack"),
        ("6.5.3 the last value counts", "settings 4=100 4=1; > ack; get 1; > data 1 1"),
        ("6.7 an answer to no question", "ping ack h2-other; ping h2-spec!; > pong h2-spec!"),
        ("6.9.1 one byte", "settings 4=1; > ack; get 1; > data 1 1; window 1 2; > data 1 2; window 1 1000; > end 1"),
        ("6.9.2 a window grows by settings", "settings 4=0; > ack; get 1; > head 1; settings 4=1; > data 1 1"),
        ("6.9.2 a window becomes negative", "settings 4=3; > ack; get 1; > data 1 3; settings 4=2; > ack; window 1 2; > data 1 1"),
        ("7 GOAWAY with an unknown code", "goaway 0 255; ping h2-spec!; > pong h2-spec!"),
        ("7 RST_STREAM with an unknown code", "get 1; rst 1 255; ping h2-spec!; > pong h2-spec!"),
        ("8.2.2 TE: trailers", "get 1 te=trailers; > head 1; > end 1"),
        ("8.2.3 crumbs of a cookie", "get 1 cookie=a=b cookie=c=d; > head 1; > end 1"),
        // RFC 7541: 82 GET, 86 http, 84 "/".
        ("7541 6.1 indexed", "get 1; > end 1; headers 3 es eh 82 :scheme=SCHEME 84 :authority=HOST; > head 3; > end 3"),
        ("7541 6.2.1 literal, indexed name, kept", "headers 1 es eh REQUEST 7a0474657374; > end 1; headers 3 es eh REQUEST be; > end 3"),
        ("7541 6.2.1 literal, indexed name, coded", "headers 1 es eh REQUEST 7a8349509f; > end 1"),
        (
            "7541 6.2.1 literal, new name, kept",
            "headers 1 es eh REQUEST 4004746573740474657374; > end 1; headers 3 es eh REQUEST be; > end 3",
        ),
        ("7541 6.2.1 literal, new name, coded", "headers 1 es eh REQUEST 40834950 9f 8349509f; > end 1"),
        ("7541 6.2.2 literal, indexed name", "headers 1 es eh REQUEST 0f2b0474657374; > end 1"),
        ("7541 6.2.2 literal, new name", "headers 1 es eh REQUEST 0004746573740474657374; > end 1"),
        ("7541 6.2.2 literal, coded", "headers 1 es eh REQUEST 008349509f8349509f; > end 1"),
        ("7541 6.2.3 never kept, indexed name", "headers 1 es eh REQUEST 1f2b0474657374; > end 1"),
        ("7541 6.2.3 never kept, new name", "headers 1 es eh REQUEST 1004746573740474657374; > end 1"),
        ("7541 6.2.3 never kept, coded", "headers 1 es eh REQUEST 108349509f8349509f; > end 1"),
        ("7541 6.3 the table's size", "headers 1 es eh 30 REQUEST; > end 1"),
        ("7541 6.3 the table's size, twice", "headers 1 es eh 20 3fe11f REQUEST; > end 1"),
        (
            "7541 6.3 the table is emptied",
            "headers 1 es eh REQUEST 7a0474657374; > end 1; headers 3 es eh 20 3fe11f REQUEST 7a0474657374; > end 3",
        ),
    ]);
    check(&rows, &HOSTS, true);
}

/// RFC 9113 §8.1: a response may end before its request, which is then listened to for a while, and refused without being called wrong.
#[test]
fn answered_early() {
    let rows = [
        ("the request ends after all", "post 1; > head 1 404; data 1 test; data 1 es; ping h2-spec!; > pong h2-spec!; get 3; > end 3"),
        ("it never ends", "post 1; > head 1 404; > end 1; > stream NO_ERROR; data 1 test; data 1 es; ping h2-spec!; > pong h2-spec!"),
        ("it is long", "post 1; > head 1 404; > end 1; data 1 x*16384; data 1 x*16384; data 1 x*16384; data 1 x*16384; > stream NO_ERROR"),
        ("it is wrong", "post 1 content-length=1; > head 1 404; > end 1; data 1 test; > stream PROTOCOL_ERROR"),
    ];
    check(&rows, &["nobody.test"], true);
}

#[test]
fn what_frames_may_not_be() {
    let rows = rows(&[
        ("4.2 DATA too large", "post 1; data 1 es x*16385; > stream FRAME_SIZE_ERROR"),
        ("4.2 HEADERS too large", "get 1 x=y*16000 a=b*1000; > connection FRAME_SIZE_ERROR; > closed"),
        ("4.3 a block that is none", "headers 1 es eh REQUEST 40; > connection COMPRESSION_ERROR; > closed"),
        ("4.3 PRIORITY between", "headers 1 es REQUEST; priority 1 0 255; cont 1 eh x=y; > connection PROTOCOL_ERROR; > closed"),
        ("4.3 another stream's HEADERS between", "headers 1 es REQUEST; get 3; > connection PROTOCOL_ERROR; > closed"),
        ("5.1 idle: DATA", "data 1 es test; > connection PROTOCOL_ERROR; > closed"),
        ("5.1 idle: RST_STREAM", "rst 1 8; > connection PROTOCOL_ERROR; > closed"),
        ("5.1 idle: WINDOW_UPDATE", "window 1 100; > connection PROTOCOL_ERROR; > closed"),
        ("5.1 idle: CONTINUATION", "cont 1 eh REQUEST; > connection PROTOCOL_ERROR; > closed"),
        ("5.1 half-closed: DATA", "get 1; data 1 es test; > stream STREAM_CLOSED"),
        ("5.1 half-closed: HEADERS", "get 1; get 1; > stream STREAM_CLOSED"),
        ("5.1 half-closed: CONTINUATION", "get 1; cont 1 eh REQUEST; > connection STREAM_CLOSED|PROTOCOL_ERROR"),
        ("5.1 reset: DATA", "headers 1 eh REQUEST; rst 1 8; data 1 es test; > stream STREAM_CLOSED"),
        ("5.1 reset: HEADERS", "headers 1 eh REQUEST; rst 1 8; headers 1 es eh x=y; > stream STREAM_CLOSED"),
        ("5.1 reset: CONTINUATION", "headers 1 eh REQUEST; rst 1 8; cont 1 eh x=y; > connection STREAM_CLOSED|PROTOCOL_ERROR"),
        ("5.1 closed: DATA", "get 1; > end 1; data 1 es test; > stream STREAM_CLOSED"),
        ("5.1 closed: HEADERS", "get 1; > end 1; get 1; > connection STREAM_CLOSED; > closed"),
        ("5.1 closed: CONTINUATION", "get 1; > end 1; cont 1 eh x=y; > connection STREAM_CLOSED|PROTOCOL_ERROR; > closed"),
        ("5.1.1 an even stream", "get 2; > connection PROTOCOL_ERROR; > closed"),
        ("5.1.1 a lower stream", "get 5; > head 5; get 3; > connection PROTOCOL_ERROR; > closed"),
        ("5.3.1 HEADERS on itself", "get 1 self; > stream PROTOCOL_ERROR"),
        ("5.3.1 PRIORITY on itself", "priority 1 1; > stream PROTOCOL_ERROR"),
        ("5.4.1 it is said, then closed", "raw 6 0 3 0000000000000000; > goaway PROTOCOL_ERROR; > closed"),
        (
            "5.5 an unknown frame within a block",
            "headers 1 es REQUEST; raw 22 0 0 00; cont 1 eh x=y; > connection PROTOCOL_ERROR; > closed",
        ),
        ("6.1 DATA on the connection", "data 0 test; > connection PROTOCOL_ERROR; > closed"),
        ("6.1 DATA on a closed stream", "get 1; > end 1; data 1 es test; > stream STREAM_CLOSED"),
        ("6.1 too much padding", "post 1; raw 0 9 1 ff74657374; > connection PROTOCOL_ERROR; > closed"),
        ("6.2 another frame within a block", "headers 1 es REQUEST; priority 1 0 0; > connection PROTOCOL_ERROR; > closed"),
        ("6.2 HEADERS on the connection", "get 0; > connection PROTOCOL_ERROR; > closed"),
        ("6.2 too much padding", "raw 1 13 1 ff82868401; > connection PROTOCOL_ERROR; > closed"),
        ("6.3 PRIORITY on the connection", "priority 0 0; > connection PROTOCOL_ERROR; > closed"),
        ("6.3 PRIORITY of a wrong size", "raw 2 0 1 80000001; > stream FRAME_SIZE_ERROR"),
        ("6.3 PRIORITY of a wrong size, open", "headers 1 eh REQUEST; raw 2 0 1 800000010101; > stream FRAME_SIZE_ERROR"),
        ("6.4 RST_STREAM on the connection", "rst 0 8; > connection PROTOCOL_ERROR; > closed"),
        ("6.4 RST_STREAM of an idle stream", "rst 1 8; > connection PROTOCOL_ERROR; > closed"),
        ("6.4 RST_STREAM of a wrong size", "headers 1 eh REQUEST; raw 3 0 1 000000; > connection FRAME_SIZE_ERROR; > closed"),
        ("6.5 an answer with content", "raw 4 1 0 00; > connection FRAME_SIZE_ERROR; > closed"),
        ("6.5 SETTINGS on a stream", "raw 4 0 1 000300000064; > connection PROTOCOL_ERROR; > closed"),
        ("6.5 SETTINGS of a wrong size", "raw 4 0 0 000300; > connection FRAME_SIZE_ERROR; > closed"),
        ("6.5.2 ENABLE_PUSH", "settings 2=2; > connection PROTOCOL_ERROR; > closed"),
        ("6.5.2 INITIAL_WINDOW_SIZE", "settings 4=2147483648; > connection FLOW_CONTROL_ERROR; > closed"),
        ("6.5.2 MAX_FRAME_SIZE too small", "settings 5=16383; > connection PROTOCOL_ERROR; > closed"),
        ("6.5.2 MAX_FRAME_SIZE too large", "settings 5=16777216; > connection PROTOCOL_ERROR; > closed"),
        ("6.7 PING on a stream", "raw 6 0 1 0000000000000000; > connection PROTOCOL_ERROR; > closed"),
        ("6.7 PING of a wrong size", "raw 6 0 0 000000000000; > connection FRAME_SIZE_ERROR; > closed"),
        ("6.8 GOAWAY on a stream", "raw 7 0 1 0000000000000000; > connection PROTOCOL_ERROR; > closed"),
        ("6.9 an increment of 0", "window 0 0; > connection PROTOCOL_ERROR; > closed"),
        ("6.9 an increment of 0 on a stream", "settings 4=0; > ack; get 1; window 1 0; > stream PROTOCOL_ERROR"),
        ("6.9 WINDOW_UPDATE of a wrong size", "raw 8 0 0 000001; > connection FRAME_SIZE_ERROR; > closed"),
        ("6.9.1 beyond what can be", "window 0 2147483647; window 0 2147483647; > goaway FLOW_CONTROL_ERROR; > closed"),
        (
            "6.9.1 beyond what can be, on a stream",
            "settings 4=0; > ack; get 1; window 1 2147483647; window 1 2147483647; > stream FLOW_CONTROL_ERROR",
        ),
        ("6.10 another frame behind", "headers 1 es REQUEST; cont 1 x=y; data 1 es test; > connection PROTOCOL_ERROR; > closed"),
        ("6.10 CONTINUATION on the connection", "headers 1 es REQUEST; cont 0 eh x=y; > connection PROTOCOL_ERROR; > closed"),
        ("6.10 behind a whole block", "get 1; cont 1 eh x=y; > connection PROTOCOL_ERROR; > closed"),
        ("6.10 behind the last one", "headers 1 es REQUEST; cont 1 eh x=y; cont 1 eh x=y; > connection PROTOCOL_ERROR; > closed"),
        ("6.10 behind DATA", "headers 1 eh REQUEST; data 1 es test; cont 1 eh x=y; > connection PROTOCOL_ERROR; > closed"),
        ("8.4 PUSH_PROMISE", "raw 5 4 1 00000003828684; > connection PROTOCOL_ERROR; > closed"),
        ("7541 2.3.3 an index that is not there", "headers 1 es eh REQUEST c6; > connection COMPRESSION_ERROR; > closed"),
        ("7541 2.3.3 a name that is not there", "headers 1 es eh REQUEST 7f07 0474657374; > connection COMPRESSION_ERROR; > closed"),
        ("7541 4.2 the table's size at the end", "headers 1 es eh REQUEST 3fe11f; > connection COMPRESSION_ERROR; > closed"),
        (
            "7541 5.2 padding of more than seven bits",
            "headers 1 es eh REQUEST 000474657374 84 49509fff; > connection COMPRESSION_ERROR; > closed",
        ),
        ("7541 5.2 padding of zeros", "headers 1 es eh REQUEST 000474657374 83 495090; > connection COMPRESSION_ERROR; > closed"),
        ("7541 5.2 the end within", "headers 1 es eh REQUEST 000474657374 86 49509fffffff; > connection COMPRESSION_ERROR; > closed"),
        ("7541 6.1 index 0", "headers 1 es eh REQUEST 80; > connection COMPRESSION_ERROR; > closed"),
        ("7541 6.3 a size above the limit", "headers 1 es eh 3fffff7f REQUEST; > connection COMPRESSION_ERROR; > closed"),
    ]);
    check(&rows, &HOSTS, true);
}

#[test]
fn what_messages_may_not_be() {
    let rows = rows(&[
        ("8.1 a second head", "post 1; headers 1 eh x=y; data 1 es test; > stream PROTOCOL_ERROR"),
        ("8.2.1 a name in upper case", "get 1 X-TEST=ok; > stream PROTOCOL_ERROR"),
        ("8.2.1 a name with a space", "headers 1 es eh REQUEST 00 03612062 0161; > stream PROTOCOL_ERROR"),
        ("8.2.1 an empty name", "get 1 =ok; > stream PROTOCOL_ERROR"),
        ("8.2.1 a line feed in a value", "headers 1 es eh REQUEST 00 0161 03610a62; > stream PROTOCOL_ERROR"),
        ("8.2.1 a zero in a value", "headers 1 es eh REQUEST 00 0161 03610062; > stream PROTOCOL_ERROR"),
        ("8.2.1 a blank before a value", "get 1 x=_y; > stream PROTOCOL_ERROR"),
        ("8.3 an unknown pseudo-header field", "get 1 :test=ok; > stream PROTOCOL_ERROR"),
        ("8.3 one of responses", "get 1 :status=200; > stream PROTOCOL_ERROR"),
        ("8.3 one in trailers", "post 1; data 1 test; headers 1 es eh :method=200; > stream PROTOCOL_ERROR"),
        ("8.3 one behind a field", "headers 1 es eh :method=GET :scheme=SCHEME :authority=HOST x=y :path=/; > stream PROTOCOL_ERROR"),
        ("8.2.2 connection", "get 1 connection=keep-alive; > stream PROTOCOL_ERROR"),
        ("8.2.2 transfer-encoding", "post 1 transfer-encoding=chunked; > stream PROTOCOL_ERROR"),
        ("8.2.2 upgrade", "get 1 upgrade=h2c; > stream PROTOCOL_ERROR"),
        ("8.2.2 keep-alive", "get 1 keep-alive=5; > stream PROTOCOL_ERROR"),
        ("8.2.2 proxy-connection", "get 1 proxy-connection=close; > stream PROTOCOL_ERROR"),
        ("8.2.2 TE but trailers", "get 1 te=trailers,_deflate; > stream PROTOCOL_ERROR"),
        ("8.3.1 no path in :path", "headers 1 es eh :method=GET :scheme=SCHEME :path= :authority=HOST; > stream PROTOCOL_ERROR"),
        ("8.3.1 no :method", "headers 1 es eh :scheme=SCHEME :path=/ :authority=HOST; > stream PROTOCOL_ERROR"),
        ("8.3.1 no :scheme", "headers 1 es eh :method=GET :path=/ :authority=HOST; > stream PROTOCOL_ERROR"),
        ("8.3.1 no :path", "headers 1 es eh :method=GET :scheme=SCHEME :authority=HOST; > stream PROTOCOL_ERROR"),
        ("8.3.1 :method twice", "get 1 :method=GET; > stream PROTOCOL_ERROR"),
        ("8.3.1 :scheme twice", "get 1 :scheme=SCHEME; > stream PROTOCOL_ERROR"),
        ("8.3.1 :path twice", "get 1 :path=/; > stream PROTOCOL_ERROR"),
        ("8.3.1 :authority twice", "get 1 :authority=HOST; > stream PROTOCOL_ERROR"),
        ("8.3.1 another host", "get 1 host=other.test; > stream PROTOCOL_ERROR"),
        ("8.3.1 somebody's password", "headers 1 es eh :method=GET :scheme=SCHEME :path=/ :authority=me@HOST; > stream PROTOCOL_ERROR"),
        ("8.1.1 less than announced", "post 1 content-length=5; data 1 es test; > stream PROTOCOL_ERROR"),
        ("8.1.1 more than announced", "post 1 content-length=1; data 1 es test; > stream PROTOCOL_ERROR"),
        ("8.1.1 more than announced, in pieces", "post 1 content-length=1; data 1 test; data 1 es test; > stream PROTOCOL_ERROR"),
        ("8.1.1 announced and nothing", "get 1 content-length=1; > stream PROTOCOL_ERROR"),
        ("8.1.1 two lengths", "post 1 content-length=4 content-length=5; data 1 es test; > stream PROTOCOL_ERROR"),
        ("8.1.1 a length that is none", "post 1 content-length=+4; data 1 es test; > stream PROTOCOL_ERROR"),
    ]);
    check(&rows, &HOSTS, true);
}

/// RFC 9113 §5.1.2: with windows of nothing no stream can end, so one too many is refused.
#[test]
fn streams_at_once() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    for secure in [false, true] {
        let (scheme, address) = if secure { ("https", stage.secure) } else { ("http", stage.plain) };
        for host in HOSTS {
            let mut wire = connect(&stage, address, secure);
            wire.greet();
            let target = Target { scheme, authority: host };
            let requests: Vec<String> = (0..=100).map(|request| format!("get {}", 2 * request + 1)).collect();
            let script = format!("settings 4=0; > ack; {}; > stream REFUSED_STREAM|PROTOCOL_ERROR", requests.join("; "));
            wire.play(&script, target).unwrap_or_else(|error| panic!("{scheme}, {host}: {error}"));
            // Those before it end when they may.
            wire.play("settings 4=65535; > ack; ping h2-spec!; > pong h2-spec!", target).expect("the connection goes on");
        }
    }
}
