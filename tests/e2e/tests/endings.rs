//! Responses that end before their request, and those of HTTP/2 origins that end otherwise than they should: what clients of either version get of
//! them, and whether their connections go on (RFC 9113 §8.1, §8.1.1; RFC 9112 §8).
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use std::{io::Read as _, sync::Arc};

use e2e::{Came, Client, Origin, Scripted, Setup, Sluice, Stage, Target, Turn, Wire, eventually, frames, free_address};

const TARGET: Target<'static> = Target { scheme: "http", authority: "a.test" };

type Row = (&'static str, &'static str, (&'static str, bool), &'static str, &'static str);

/// (the case, what the origin says, what an HTTP/1 client gets and whether its connection goes on, what an HTTP/2 client gets, what is counted)
/// A step of the origin: frames, `~` until the client has something of what was said, `close`.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("as it should", "headers 1 eh :status=200 content-length=4; data 1 es four", ("200 four", true), "200 4 end", ""),
    // What was announced is there, and no END_STREAM: by HTTP/1's framing the response is whole, by HTTP/2's it is not, and trailers may be missing.
    ("reset behind its content", "headers 1 eh :status=200 content-length=4; data 1 four; ~; rst 1 2", ("200 four", true), "200 4 reset", "upstream_reset"),
    ("reset well behind its content", "headers 1 eh :status=200 content-length=4; data 1 four; ~; rst 1 0", ("200 four", true), "200 4 reset", "upstream_reset"),
    ("closed behind its content", "headers 1 eh :status=200 content-length=4; data 1 fo; data 1 ur; ~; close", ("200 four", true), "200 4 reset", "upstream_reset"),
    ("no end behind its content", "headers 1 eh :status=200 content-length=4; data 1 four", ("200 four", true), "200 4 reset", "idle_timeout"),
    ("reset where no content is", "headers 1 eh :status=304 content-length=4; ~; rst 1 2", ("304 ", true), "304 reset", "upstream_reset"),
    // More than was announced is malformed, whatever the client has.
    ("more than its content", "headers 1 eh :status=200 content-length=4; data 1 four; ~; data 1 more", ("200 four", false), "200 4 reset", "malformed_response"),
    ("reset in its content", "headers 1 eh :status=200 content-length=4; data 1 fo; ~; rst 1 2", ("200 fo", false), "200 2 reset", "upstream_reset"),
    ("reset, of unknown length", "headers 1 eh :status=200; data 1 four; ~; rst 1 2", ("200 4|four|", false), "200 4 reset", "upstream_reset"),
    // Trailers beyond the limit: told while something can still be told, else broken off.
    ("trailers too large", "headers 1 eh :status=200; data 1 four; ~; headers 1 es eh x=y*5000", ("200 4|four|", false), "200 4 reset", "malformed_response"),
    ("trailers too large, at once", "headers 1 eh :status=200; data 1 four; headers 1 es eh x=y*5000", ("502 malformed_response", true), "502 malformed_response", "malformed_response"),
    ("trailers too large, announced", "headers 1 eh :status=200 content-length=4; data 1 four; ~; headers 1 es eh x=y*5000", ("200 four", false), "200 4 reset", "malformed_response"),
];

/// What an origin's connections and the test tell each other.
#[derive(Clone, Default)]
struct Progress {
    begun: Arc<AtomicBool>,
    heard: Arc<AtomicBool>,
}

/// Answers the first request as `script` says, all others by 204.
fn play(turn: &mut Turn, script: &str, progress: &Progress) {
    let mut head = [0; 24];
    turn.stream.read_exact(&mut head).unwrap();
    turn.send(frames("settings", TARGET));
    let mut head = [0; 9];
    while turn.stream.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        turn.stream.read_exact(&mut payload).unwrap();
        match head[3] {
            1 if progress.begun.swap(true, Relaxed) => {
                let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
                turn.send(frames(&format!("headers {stream} es eh :status=204"), TARGET));
            }
            1 => {
                for (at, step) in script.split('~').enumerate() {
                    if at > 0 {
                        eventually("the client has heard of it", || progress.heard.load(Relaxed));
                    }
                    let (said, closes) = step.trim().strip_suffix("close").map_or((step, false), |said| (said, true));
                    turn.send(frames(said, TARGET));
                    if closes {
                        return;
                    }
                }
            }
            4 if head[4] == 0 => turn.send(frames("settings ack", TARGET)),
            _ => {}
        }
    }
}

fn start(script: &'static str) -> (SocketAddr, Sluice, Progress) {
    let (web, progress) = (free_address(), Progress::default());
    let ours = progress.clone();
    let origin = Scripted::start(move |turn| play(turn, script, &ours));
    let sluice = Setup::new(format!(
        "defaults: {{ timeouts: {{ idle: 700ms }} }}
listeners:
  web: {{ bind: [\"{web}\"], limits: {{ header_bytes: 4KiB }}, http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: app }}] }}] }} }}
clusters: {{ app: {{ endpoints: [\"{origin}\"], protocol: http2 }} }}
"
    ));
    (web, sluice.with(&["--workers", "1"]).start(), progress)
}

/// Status and content, as it stands on the wire, or the reason; and whether there was an answer to a second request.
fn serial(web: SocketAddr, progress: &Progress) -> (String, bool) {
    let mut client = Client::connect(web);
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\nGET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    client.socket().peek(&mut [0]).unwrap();
    progress.heard.store(true, Relaxed);
    let text = String::from_utf8(client.rest().unwrap()).unwrap();
    let (first, second) = text.split_once("HTTP/1.1 204").map_or((&*text, false), |(first, _)| (first, true));
    let (head, content) = first.split_once("\r\n\r\n").unwrap();
    let reason = head.split("x-sluice-reason: ").nth(1).map(|rest| rest.split("\r\n").next().unwrap());
    let status = head.split(' ').nth(1).unwrap();
    (format!("{status} {}", reason.map_or_else(|| content.replace("\r\n", "|"), str::to_owned)), second)
}

/// Status, bytes of content and end; and whether there was an answer to a second request.
fn multiplexed(web: SocketAddr, progress: &Progress, reason: &str) -> (String, bool) {
    let mut wire = Wire::connect(web, None);
    wire.greet();
    wire.play("get 1", TARGET).unwrap();
    let (mut words, mut bytes) = (String::new(), 0);
    loop {
        let came = wire.came();
        progress.heard.fetch_or(matches!(came, Came::Head { .. }), Relaxed);
        match came {
            Came::Head { stream: 1, status: 502, .. } => words = format!("502 {reason}"),
            Came::Head { stream: 1, status, end: false } => words = status.to_string(),
            Came::Data { stream: 1, end: true, .. } if words.starts_with("502") => break,
            Came::Data { stream: 1, length, end } => {
                bytes += length;
                if end {
                    words = format!("{words} {bytes} end");
                    break;
                }
            }
            Came::Reset { stream: 1, .. } => {
                words = if bytes > 0 { format!("{words} {bytes} reset") } else { format!("{words} reset") };
                break;
            }
            Came::Other(_) | Came::Acknowledged | Came::Settings(_) | Came::Pong(_) => {}
            Came::Head { .. } | Came::Data { .. } | Came::Reset { .. } | Came::Goaway { .. } | Came::Closed | Came::Silence => {
                panic!("{wire:?}")
            }
        }
    }
    let goes_on = wire.play("get 3; > head 3 204", TARGET).is_ok();
    (words, goes_on)
}

#[test]
fn of_http_2_origins() {
    let mut wrong = Vec::new();
    for (case, script, one, two, counted) in ROWS {
        let (web, sluice, progress) = start(script);
        let got = serial(web, &progress);
        if (&*got.0, got.1) != *one {
            wrong.push(format!("{case}, HTTP/1: {got:?}"));
        }
        let counts = |sluice: &Sluice| if counted.is_empty() { 1 } else { sluice.metrics().faults(counted) };
        assert_eq!(counts(&sluice), 1, "{case}, HTTP/1");
        drop(sluice);
        let (web, sluice, progress) = start(script);
        let got = multiplexed(web, &progress, counted);
        if (&*got.0, got.1) != (*two, true) {
            wrong.push(format!("{case}, HTTP/2: {got:?}"));
        }
        assert_eq!(counts(&sluice), 1, "{case}, HTTP/2");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A response that is complete before its request: an HTTP/2 connection goes on, and what the client sends of it all the same is given back to the
/// connection's window; an HTTP/1 connection ends with it, and says so.
#[test]
fn before_the_requests_end() {
    const TIMES: i64 = 12;
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    for (times, host) in [(TIMES, "one.test"), (2 * TIMES, "two.test")] {
        let target = Target { scheme: "http", authority: host };
        let mut wire = Wire::connect(stage.plain, None);
        wire.greet();
        // (More than the connection's window several times over, and more of each than is listened to.)
        for stream in (1..).step_by(2).take(usize::try_from(TIMES).unwrap()) {
            let data = format!("data {stream} x*16384; ").repeat(12);
            let script = format!(
                "headers {stream} eh :method=POST :scheme=SCHEME :path=/early :authority=HOST content-length=200000;
                 > head {stream} 200; > end {stream}; {data} > stream NO_ERROR; ping h2-spec!; > pong h2-spec!"
            );
            wire.play(&script, target).unwrap_or_else(|error| panic!("{host}, {stream}: {error}"));
        }
        wire.play("get 1001; > head 1001 200; > end 1001", target).unwrap();
        let counted = || stage.sluice.metrics().sum("sluice_downstream_limits_total", &["limit=\"request_rest\""]);
        assert_eq!(counted(), times, "{host}");

        let mut client = Client::connect(stage.plain);
        client.send(format!("POST /early HTTP/1.1\r\nhost: {host}\r\ncontent-length: 200000\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.text().as_str(), response.field("connection")), ("amber did not wait\n", Some("close")), "{host}");
        assert!(client.is_closed(), "{host}");
    }
}
