//! When origins or clients fail: the right status, its reason in the answer and in the counters, and nothing tried twice that may not be.

use e2e::{Client, Origin, Response, Scripted, Setup, Sluice, eventually, free_address, pattern};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

const LIMITS: &str = r#"
defaults: { timeouts: { connect: 1s, request: 300ms, request_head: 300ms, idle: 1s } }
listeners:
  web:
    bind: ["WEB"]
    limits: { header_bytes: 4KiB, headers: 20, target_bytes: 1KiB, body_bytes: 100KB }
    http:
      sites:
        - hosts: ["*"]
          routes:
            - { match: { path: /refused }, to: refused }
            - { match: { path: /nowhere }, to: silent }
            - to: app
clusters:
  app: { endpoints: ["APP"] }
  refused: { endpoints: ["REFUSED"] }
  silent: { endpoints: ["SILENT"] }
"#;

fn limited(app: &impl ToString) -> (SocketAddr, Sluice) {
    limited_with(app, &free_address())
}

fn limited_with(app: &impl ToString, silent: &impl ToString) -> (SocketAddr, Sluice) {
    let web = free_address();
    let text = LIMITS.replace("WEB", &web.to_string()).replace("APP", &app.to_string());
    let text = text.replace("REFUSED", &free_address().to_string()).replace("SILENT", &silent.to_string());
    (web, Setup::new(text).with(&["--workers", "1"]).start())
}

#[track_caller]
fn expect(sluice: &Sluice, response: &Response, status: u16, reason: &str) {
    assert_eq!((response.status(), response.reason()), (status, reason), "{}", response.text());
    eventually(format_args!("{reason} is counted"), || sluice.metrics().faults(reason) >= 1);
}

#[test]
fn origins_that_fail() {
    let origin = Origin::start("amber");
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    expect(&sluice, &client.get("/refused"), 503, "connect_failed");
    expect(&sluice, &client.get("/garbage"), 502, "malformed_response");
    expect(&sluice, &client.get("/delay/5000"), 504, "response_timeout");
    // These were the origin's faults: the client's connection is as good as before.
    assert_eq!(client.get("/").text(), "amber\n");

    // In the middle of a body nothing can be told any more: the connection breaks, so that the client sees it was not all.
    let error = client.try_get("/die").expect_err("a broken response");
    assert!(matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset), "{error}");
    eventually("it is counted", || sluice.metrics().faults("upstream_reset") == 1);
}

#[test]
fn a_chunked_response_that_dies_has_no_end() {
    let origin = Scripted::start(|turn| {
        turn.request();
        turn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    });
    let (web, _sluice) = limited(&origin);
    let mut client = Client::connect(web);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let error = client.try_response().expect_err("a broken response");
    assert!(matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset), "{error}");
}

/// What lasts as long as its connection is cut by a reset: a close would say that it was all.
#[test]
fn what_only_a_close_would_end_is_broken_off() {
    let origin = Scripted::start(|turn| {
        let Some(seen) = turn.request() else { return };
        if seen.head.contains("upgrade: websocket") {
            turn.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello");
            // Closing with unread bytes resets the connection.
            turn.stream.get_ref().peek(&mut [0]).expect("the client says something");
        } else {
            turn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        }
    });
    let (web, sluice) = limited(&origin);
    for (at, request) in [
        "GET / HTTP/1.0\r\nhost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nunread",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(web);
        client.send(request);
        let error = client.rest().expect_err("it does not end, it breaks");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{request}");
        eventually("it is counted", || sluice.metrics().faults("upstream_reset") == i64::try_from(at).expect("two") + 1);
    }
}

#[test]
fn an_origin_that_closes_without_an_answer() {
    let origin = Scripted::start(|turn| drop(turn.request()));
    let (web, sluice) = limited(&origin);
    for method in ["GET", "POST"] {
        let mut client = Client::connect(web);
        client.send(format!("{method} / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n"));
        expect(&sluice, &client.response(), 502, "upstream_reset");
    }
    // On a fresh connection the origin may have acted: neither is sent again.
    assert_eq!(origin.all().len(), 2);
}

#[test]
fn an_origin_that_stops_in_its_body_is_given_up() {
    let origin = Scripted::start(|turn| {
        turn.request();
        turn.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello");
        turn.request();
    });
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    assert!(client.try_get("/").is_err(), "it never ends");
    eventually("it is counted", || sluice.metrics().faults("idle_timeout") == 1);
}

#[test]
fn clients_that_fail() {
    let origin = Origin::start("amber");
    let (web, sluice) = limited(&origin);
    let check = |request: &[u8], status, reason: &str| {
        let mut client = Client::connect(web);
        client.send(request);
        let response = client.try_response().unwrap_or_else(|error| panic!("{reason}: {error}"));
        expect(&sluice, &response, status, reason);
        assert!(client.is_closed(), "{reason}: the connection ends");
    };
    check(b"GET / HTTP/1.1\r\nhost: te", 408, "request_head_timeout");
    check(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf", 408, "request_body_timeout");
    check(format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(2_000)).as_bytes(), 414, "target_too_long");
    check(format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(9_000)).as_bytes(), 414, "target_too_long");
    check(format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(9_000)).as_bytes(), 431, "head_too_large");
    check(format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(30)).as_bytes(), 431, "head_too_large");
    check(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100001\r\n\r\n", 413, "body_too_large");
    check(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: tea\r\ncontent-length: 1\r\n\r\n", 417, "expectation_failed");
    assert_eq!(Client::connect(web).get("/").text(), "amber\n");
}

#[test]
fn a_body_of_unknown_length_is_limited_too() {
    let origin = Origin::start("amber");
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    // `/` answers only when the body is complete, so that the refusal can still be told.
    client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        client.send(format!("{:x}\r\n{}\r\n", 40_000, "a".repeat(40_000)));
    }
    expect(&sluice, &client.response(), 413, "body_too_large");
}

#[test]
fn a_client_that_leaves_is_counted_and_costs_nobody() {
    let origin = Origin::start("amber");
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    client.send("GET /stream/100/10 HTTP/1.1\r\nhost: test\r\n\r\n");
    drop(client);
    eventually("it is counted", || sluice.metrics().faults("downstream_reset") == 1);
    eventually("its connections are closed", || {
        let metrics = sluice.metrics();
        metrics.sum("sluice_downstream_connections_active", &[]) == 0 && metrics.sum("sluice_requests_active", &[]) == 0
    });
    assert_eq!(Client::connect(web).get("/").text(), "amber\n");
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let origin = Origin::start("amber");
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    client.get("/");
    assert!(client.is_closed());
    eventually("it is counted", || sluice.metrics().faults("keep_alive_timeout") == 1);
}

/// An origin that answers the first request of each connection, and closes it when the second has come.
fn forgetful() -> Scripted {
    Scripted::start(|turn| {
        turn.request();
        turn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        turn.request();
    })
}

#[test]
fn a_request_on_a_dead_connection_is_sent_again_when_it_may_be() {
    let origin = forgetful();
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    assert_eq!(client.get("/first").text(), "ok");
    assert_eq!(client.get("/second").text(), "ok", "sent again on a new connection");
    let heads: Vec<_> = origin.all().iter().map(|seen| (seen.connection, seen.head[..8].to_owned())).collect();
    assert_eq!(heads, [(0, "GET /fir".to_owned()), (0, "GET /sec".to_owned()), (1, "GET /sec".to_owned())]);
    assert_eq!(sluice.metrics().sum("sluice_retries_total", &[]), 1);
}

#[test]
fn a_request_that_may_not_be_repeated_is_not() {
    let origin = forgetful();
    let (web, sluice) = limited(&origin);
    let mut client = Client::connect(web);
    assert_eq!(client.get("/first").text(), "ok");
    client.send("POST /second HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
    expect(&sluice, &client.response(), 502, "upstream_reset");
    assert_eq!(origin.all().len(), 2);
    assert_eq!(sluice.metrics().sum("sluice_retries_total", &[]), 0);
}

/// Origins that close right after their response: a connection found dead before use costs nothing, whatever the method.
#[test]
fn connections_that_origins_closed_are_not_used() {
    static ANSWERED: AtomicUsize = AtomicUsize::new(0);
    let origin = Scripted::start(|turn| {
        if turn.request().is_some() {
            turn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            ANSWERED.fetch_add(1, Relaxed);
        }
    });
    let (web, _sluice) = limited(&origin);
    let mut client = Client::connect(web);
    for _ in 0..20 {
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!(client.response().status(), 200);
        // The origin's end must have come before the next request is sent.
        e2e::pause(Duration::from_millis(20));
    }
    assert_eq!(ANSWERED.load(Relaxed), 20);
}

#[test]
fn another_endpoint_is_tried_when_one_refuses() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let sluice = Setup::simple(web, &[&free_address(), &origin]).with(&["--workers", "1"]).start();
    let mut client = Client::connect(web);
    for _ in 0..20 {
        client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello");
    }
    let metrics = sluice.metrics();
    assert!(metrics.sum("sluice_retries_total", &[]) >= 5);
    assert_eq!(metrics.sum("sluice_retries_total", &[]), metrics.sum("sluice_upstream_connect_failures_total", &[]));
}

#[test]
fn an_origin_that_does_not_accept_is_given_up() {
    // A backlog that is full: the kernel leaves further connections unanswered.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _waiting: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))).collect();
    let (web, sluice) = limited_with(&free_address(), &address);
    expect(&sluice, &Client::connect(web).get("/nowhere"), 503, "connect_timeout");
}

/// Many may wait for one connection that all would share: when it is never opened, that is what they are told.
#[test]
fn who_waits_for_a_shared_connection_is_told_that_it_never_opened() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _waiting: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))).collect();
    let web = free_address();
    let sluice = Setup::new(format!(
        "listeners: {{ web: {{ bind: [\"{web}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: app }}] }}] }} }} }}
clusters: {{ app: {{ endpoints: [\"{address}\"], protocol: http2, timeouts: {{ connect: 700ms }} }} }}
"
    ))
    .with(&["--workers", "1"])
    .start();
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(web)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.status(), response.reason()), (503, "connect_timeout"));
    }
    assert_eq!(sluice.metrics().sum("sluice_upstream_overflow_total", &[]), 0);
}

#[test]
fn requests_beyond_a_clusters_limits_are_refused() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let sluice = Setup::new(format!(
        r#"
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"], limits: {{ connections: 1, pending: 1 }}, timeouts: {{ connect: 5s }} }}
"#
    ))
    .with(&["--workers", "1"])
    .start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(web)).collect();
    let active = |count: i64| eventually("they are under way", || sluice.metrics().sum("sluice_requests_active", &[]) == count);
    for (at, client) in clients.iter_mut().take(2).enumerate() {
        client.send("GET /delay/700 HTTP/1.1\r\nhost: test\r\n\r\n");
        active(if at == 0 { 1 } else { 2 });
    }
    expect(&sluice, &clients[2].get("/"), 503, "overflow");
    assert_eq!(clients[0].response().status(), 200);
    assert_eq!(clients[1].response().status(), 200, "it waited for its turn");
    assert_eq!(clients[2].get("/bytes/5").body, pattern(5));
    assert!(sluice.metrics().sum("sluice_upstream_overflow_total", &[]) >= 1);
}
