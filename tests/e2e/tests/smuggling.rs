//! Nothing that two parties could read as two different requests is forwarded: what is doubtful is refused, and the origin sees none of it.

use e2e::{Client, Scripted, Seen, Setup, Sluice, free_address};
use std::net::SocketAddr;

/// What follows each case on the same connection: no origin may ever see it as a request.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: test\r\n\r\n";

fn recorded() -> (SocketAddr, Scripted, Sluice) {
    let (web, origin) = (free_address(), Scripted::plain());
    let sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
    (web, origin, sluice)
}

/// Heads that are refused before anything is forwarded: the bytes and the status.
#[rustfmt::skip]
const REFUSED: &[(&str, u16)] = &[
    // Two lengths, or none that can be known (RFC 9112 §6.1, §6.3).
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\nabcde", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nabcde", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x5\r\n\r\nabcde", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551616\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    // Fields that others read differently (RFC 9112 §2.2, §5).
    ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 5\r\n\r\nabcde", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n\tfolded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\rx-y: 2\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\rcontent-length: 5\r\n\r\n", 400),
    ("GET / HTTP/1.1\nhost: a\n\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx: a\x01b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\n: no name\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nx(y): 1\r\n\r\n", 400),
    // Whose request it is (RFC 9112 §3.2).
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nhost:\r\n\r\n", 400),
    ("GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    // Request lines (RFC 9112 §3).
    ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1 \r\nhost: a\r\n\r\n", 400),
    ("GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    (" GET / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET / http/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET /\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET relative HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
    ("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 501),
];

#[test]
fn doubtful_heads_are_refused() {
    let (web, origin, _sluice) = recorded();
    for (request, status) in REFUSED {
        let mut client = Client::connect(web);
        client.send(format!("{request}{HIDDEN}"));
        let response = client.try_response().unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(response.status(), *status, "{request:?}");
        assert_ne!(response.reason(), "", "{request:?}");
        assert!(client.is_closed(), "{request:?}: the connection ends, what is behind is not believed");
        let seen = origin.all();
        assert!(seen.is_empty(), "{request:?} was forwarded: {seen:?}");
    }
}

/// Chunks that others read differently (RFC 9112 §7.1): the head is fine, so the origin may have begun to get the request, never more.
const BAD_CHUNKS: &[&str] = &[
    "5\nabcde\r\n0\r\n\r\n",
    "5\r\nabcdeX\r\n0\r\n\r\n",
    "5\r\nabcde0\r\n\r\n",
    "5\r\nabcd\r\n0\r\n\r\n",
    "0x5\r\nabcde\r\n0\r\n\r\n",
    "+5\r\nabcde\r\n0\r\n\r\n",
    "-5\r\nabcde\r\n0\r\n\r\n",
    " 5\r\nabcde\r\n0\r\n\r\n",
    "5 5\r\nabcde\r\n0\r\n\r\n",
    "\r\n5\r\nabcde\r\n0\r\n\r\n",
    "g\r\nabcde\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
    "10000000000000005\r\nabcde\r\n0\r\n\r\n",
    "5;a\nb\r\nabcde\r\n0\r\n\r\n",
    "5;a\rb\r\nabcde\r\n0\r\n\r\n",
    "5;\0\r\nabcde\r\n0\r\n\r\n",
    "0\r\nx : 1\r\n\r\n",
    "0\r\n\n",
    "0\r\nx: 1\n\r\n",
];

#[test]
fn doubtful_chunks_are_refused() {
    let (web, origin, _sluice) = recorded();
    for chunks in BAD_CHUNKS {
        let mut client = Client::connect(web);
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}{HIDDEN}"));
        let response = client.try_response().unwrap_or_else(|error| panic!("{chunks:?}: {error}"));
        assert_eq!((response.status(), response.reason()), (400, "bad_chunk"), "{chunks:?}");
        assert!(client.is_closed(), "{chunks:?}");
        let whole = origin.all().into_iter().filter(is_whole).collect::<Vec<_>>();
        assert!(whole.is_empty(), "{chunks:?} was forwarded: {whole:?}");
    }
}

/// Whether the origin saw the end of this request.
fn is_whole(seen: &Seen) -> bool {
    seen.body.ends_with(b"0\r\n\r\n") || seen.head.contains("/hidden")
}

/// Requests with bodies that look like requests: each stays one.
#[test]
fn bodies_stay_bodies() {
    let (web, origin, _sluice) = recorded();
    let mut client = Client::connect(web);
    let length = HIDDEN.len();
    client.send(format!("POST /known HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"));
    assert_eq!(client.response().status(), 200);
    let seen = origin.next();
    assert!(seen.head.starts_with("POST /known "), "{seen:?}");
    assert_eq!(seen.body, HIDDEN.as_bytes());

    client.send(format!(
        "POST /chunked HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n{length:X};x=\"\\\"\"\r\n{HIDDEN}\r\n0\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 200);
    let seen = origin.next();
    assert!(seen.head.starts_with("POST /chunked "), "{seen:?}");
    assert!(!seen.head.to_ascii_lowercase().contains("content-length"), "{seen:?}");
    assert_eq!(seen.body, format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n").into_bytes());

    // GET may have content too; without framing there is none, and what follows is the next request.
    client.send(format!("GET /with HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{HIDDEN}GET /next HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    assert_eq!(origin.next().body, HIDDEN.as_bytes());
    assert!(origin.next().head.starts_with("GET /next "));
    assert_eq!(origin.all(), []);
}

/// Fields that Connection names are the connection's own, but what frames or routes a request is not for it to take away.
#[test]
fn connection_takes_no_framing_away() {
    let (web, origin, _sluice) = recorded();
    let mut client = Client::connect(web);
    client.send("POST /a HTTP/1.1\r\nhost: a\r\nconnection: content-length, host, x-mine\r\nx-mine: 1\r\ncontent-length: 5\r\n\r\nabcde");
    let status = client.response().status();
    if status != 400 {
        assert_eq!(status, 200);
        let seen = origin.next();
        let head = seen.head.to_ascii_lowercase();
        assert!(head.contains("content-length: 5") && head.contains("host: a") && !head.contains("x-mine"), "{head}");
        assert_eq!(seen.body, b"abcde");
    }
}

/// Behind another version of HTTP a second request could hide.
#[test]
fn upgrades_to_anything_but_websocket_are_not_forwarded() {
    let (web, origin, _sluice) = recorded();
    for protocol in ["h2c", "h2c, websocket", "TLS/1.0"] {
        let mut client = Client::connect(web);
        client.send(format!("GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        let head = origin.next().head.to_ascii_lowercase();
        assert!(!head.contains("upgrade") && !head.contains("connection"), "{head}");
    }
}

/// An origin that does not switch leaves the connection what it was: what comes behind is a request of its own, and nothing goes through unread.
#[test]
fn an_upgrade_that_is_declined_opens_no_tunnel() {
    let (web, origin, _sluice) = recorded();
    let mut client = Client::connect(web);
    client.send("GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 777\r\n\r\n");
    client.send("GET / http/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert!(origin.next().head.to_ascii_lowercase().contains("upgrade: websocket"));
    assert_eq!(client.response().status(), 400, "it is read as a request, and refused as one");
    assert!(origin.all().is_empty());
}

/// Responses that two parties could read differently never reach a client as they are.
#[test]
fn doubtful_responses_are_refused() {
    #[rustfmt::skip]
    let responses = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n x: folded\r\n\r\nok",
        "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/2 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "hello\r\n\r\n",
    ];
    for response in responses {
        let origin = Scripted::start(move |turn| {
            if turn.request().is_some() {
                turn.send(response);
            }
        });
        let web = free_address();
        let sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
        let got = Client::connect(web).get("/");
        assert_eq!((got.status(), got.reason()), (502, "malformed_response"), "{response:?}");
        drop(sluice);
    }
}

/// What an origin sends behind its response belongs to nobody.
#[test]
fn an_origin_cannot_answer_twice() {
    let origin = Scripted::start(|turn| {
        while turn.request().is_some() {
            turn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
        }
    });
    let web = free_address();
    let _sluice = Setup::simple(web, &[&origin]).with(&["--workers", "1"]).start();
    let mut client = Client::connect(web);
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "ok");
    }
}
