//! WebSocket through every combination of HTTP versions, in the clear and through TLS on either side, with a client and an origin of others.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Client, Ending, SIDES, Scripted, Setup, Sides, Signal, WAYS, eventually, free_address, python, run_python};
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{ChildStdout, Stdio},
};

const ORIGIN: &str = "websocket_origin.py";

fn start(route: &str, timeouts: &str) -> Sides {
    Sides::start(ORIGIN, route, timeouts)
}

/// All combinations.
fn connections(sides: &Sides, path: &str) -> Vec<String> {
    WAYS.iter().flat_map(|way| SIDES.map(|host| sides.connection(*way, host, path))).collect()
}

/// The client, once it is ready.
fn ready(sides: &Sides, verb: &str, path: &str) -> (Ending, BufReader<ChildStdout>) {
    let mut command = python("websocket.py");
    command.arg(verb).arg(sides.authority.file()).args(connections(sides, path));
    let mut client = Ending(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut reader = BufReader::new(client.0.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (client, reader)
}

/// What of an answer the client tells.
fn asked(sides: &Sides, connections: &[String]) -> Vec<String> {
    let ca = sides.authority.file().display().to_string();
    let arguments: Vec<&str> = ["ask", &ca].into_iter().chain(connections.iter().map(String::as_str)).collect();
    run_python("websocket.py", &arguments).lines().map(str::to_owned).collect()
}

/// Text, binary, fragments, pings, codes of both sides, there and back; then a configuration is pushed, then again.
#[test]
fn messages_and_closes() {
    let sides = start("", "");
    let (mut client, mut reader) = ready(&sides, "talk", "/");
    sides.push();
    client.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "closed\n");
    eventually("all are over", || sides.sluice.metrics().sum("sluice_requests_active", &[]) == 0);
}

#[test]
fn a_half_closes_before_the_other() {
    let sides = start("", "");
    let ca = sides.authority.file().display().to_string();
    let connections = connections(&sides, "/raw");
    let arguments: Vec<&str> = ["halves", &ca].into_iter().chain(connections.iter().map(String::as_str)).collect();
    assert_eq!(run_python("websocket.py", &arguments), "done\n");
}

/// What an origin says instead of yes is what the client gets, whichever way it came; what it breaks is told as such.
#[test]
fn refusals() {
    let sides = start("", "");
    let mut rows = Vec::new();
    for way in WAYS {
        for host in SIDES {
            for (path, expect) in [
                ("/403", "403 yes refused"),
                ("/404", "404 yes refused"),
                ("/500", "500 yes refused"),
                ("/503", "503 yes refused"),
                ("/die", "502 upstream_reset The origin closed the connection before its response was complete."),
                ("/", "opened"),
            ] {
                rows.push((way, host, path, expect));
            }
        }
        // It has never said that it takes them (RFC 8441 section 3).
        rows.push((way, "old.test", "/", "501 not_implemented The request asks for what is not supported."));
        // The proof is for whoever asked for it: the client, or we for one that cannot ask.
        let wrong = if way.multiplexed { "502 malformed_response The origin's response is malformed." } else { "unproved" };
        rows.push((way, "one.test", "/wrong", wrong));
        rows.push((way, "one-tls.test", "/wrong", wrong));
    }
    let connections: Vec<String> = rows.iter().map(|(way, host, path, _)| sides.connection(*way, host, path)).collect();
    for (row, got) in rows.iter().zip(asked(&sides, &connections)) {
        assert_eq!(got, row.3, "{row:?}");
    }
}

/// Answers to an upgrade that are none: (what the origin sends, what the client is told).
#[test]
fn broken_answers() {
    const MALFORMED: (u16, &str) = (502, "malformed_response");
    for (answer, expect) in [
        ("HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", MALFORMED),
        ("HTTP/1.1 101 Fine\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", MALFORMED),
        ("HTTP/1.1 101 Fine\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", MALFORMED),
        ("HTTP/1.1 101 Fine\r\n\r\n", MALFORMED),
        ("HTTP/1.1 1 Fine\r\n\r\n", MALFORMED),
        ("nonsense\r\n\r\n", MALFORMED),
        ("", (502, "upstream_reset")),
        // It speaks on, as if nothing had been asked.
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", (200, "")),
        ("HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 8\r\ncontent-length: 0\r\n\r\n", (426, "")),
    ] {
        let origin = Scripted::start(move |turn| {
            if turn.request().is_some() {
                turn.send(answer);
            }
        });
        let web = free_address();
        let _sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
        let mut client = Client::connect(web);
        client.send(
            "GET / HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let response = client.response();
        assert_eq!((response.status(), response.reason()), expect, "{answer:?}");
    }
}

/// Where nothing is opened although the answer is a good one: over HTTP/1 it is an answer, over HTTP/2 it would be taken for a yes.
#[test]
fn an_answer_that_is_no_upgrade() {
    let origin = Scripted::plain();
    let (web, local) = (free_address(), free_address());
    let site = |what: &str| format!("{{ sites: [{{ hosts: [\"*\"], routes: [{{ {what} }}] }}] }}");
    let _sluice = Setup::new(format!(
        "listeners:
  web: {{ bind: [\"{web}\"], http: {} }}
  local: {{ bind: [\"{local}\"], http: {} }}
clusters: {{ app: {{ endpoints: [\"{origin}\"] }} }}
",
        site("to: app"),
        site("reply: { body: here }"),
    ))
    .start();
    for (version, address, expect) in [
        (1, web, "200 None ok"),
        (1, local, "200 None here"),
        (2, web, "502 malformed_response The origin's response is malformed."),
        (2, local, "501 not_implemented The request asks for what is not supported."),
    ] {
        let connection = format!("{version}:{}:test:/", address.port());
        assert_eq!(run_python("websocket.py", &["ask", "-", &connection]), format!("{expect}\n"));
    }
}

#[test]
fn time_is_up() {
    for (timeouts, reason) in [("tunnel_idle: 1s", "idle_timeout"), ("tunnel: 2s", "tunnel_timeout")] {
        let sides = start(&format!(", timeouts: {{ {timeouts} }}"), "");
        let (_client, mut reader) = ready(&sides, "linger", "/raw");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let count = WAYS.len() * SIDES.len();
        assert_eq!(rest.lines().count(), count);
        assert!(rest.lines().all(|line| matches!(line, "reset " | "ended ")), "{timeouts}: {rest}");
        eventually(format_args!("{timeouts} ends all"), || sides.sluice.metrics().faults(reason) == i64::try_from(count).unwrap());
    }
}

/// Tunnels go on in a drain, as long as it lasts.
#[test]
fn a_drain() {
    let mut sides = start("", "drain: 15s");
    let (mut client, mut reader) = ready(&sides, "talk", "/");
    sides.sluice.signal(Signal::TERM);
    eventually("nobody new is let in", || Client::try_connect(sides.plain).is_err());
    client.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "closed\n");
    assert!(sides.sluice.wait().success());
}
