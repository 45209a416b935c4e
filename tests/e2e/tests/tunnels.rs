//! Tunnels: CONNECT where a route allows it, over both versions; how long they and WebSocket's may last; halves that close one by one.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Client, Ending, Origin, Scripted, Setup, Sluice, eventually, free_address, python, run_python};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::Stdio,
};

fn text(web: SocketAddr, origin: SocketAddr, timeouts: &str) -> String {
    format!(
        "listeners:
  web:
    bind: [\"{web}\"]
    http:
      sites:
        - {{ hosts: [far.test], routes: [{{ match: {{ methods: [CONNECT] }}, connect: {{ ports: [7, 8] }}, to: far{timeouts} }}] }}
        - {{ hosts: [any.test], routes: [{{ connect: {{}}, to: far{timeouts} }}] }}
        - {{ hosts: [near.test], routes: [{{ to: far{timeouts} }}] }}
clusters:
  far: {{ endpoints: [\"{origin}\"] }}
"
    )
}

fn start(origin: SocketAddr, timeouts: &str) -> (SocketAddr, Sluice) {
    let web = free_address();
    (web, Setup::new(text(web, origin, timeouts)).start())
}

fn ask(web: SocketAddr, authority: &str) -> Client {
    let mut client = Client::connect(web);
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"));
    client
}

/// The head of an answer that opens a tunnel; what follows it is left.
fn opened(client: &mut Client) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let mut socket = client.socket();
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn who_may_and_who_may_not() {
    let origin = Origin::tcp();
    let (web, sluice) = start(origin.address(), "");
    for (authority, status, reason) in [
        ("far.test:9", 400, "bad_target"),
        ("far.test", 400, "bad_target"),
        ("near.test:7", 501, "not_implemented"),
        ("other.test:7", 501, "not_implemented"),
    ] {
        let mut client = ask(web, authority);
        let response = client.response();
        assert_eq!((response.status(), response.reason()), (status, reason), "{authority}");
        assert!(client.is_closed(), "{authority}: nobody can tell what follows");
    }
    for (authority, status) in [("far.test:9", "400"), ("near.test:7", "501"), ("other.test:7", "501")] {
        assert_eq!(run_python("tunnel.py", &["2", &web.port().to_string(), authority]), format!("{status}\n"), "{authority}");
    }
    assert_eq!(sluice.metrics().sum("sluice_upstream_connects_total", &[]), 0);
}

#[test]
fn bytes_halves_and_another_configuration() {
    let origin = Origin::tcp();
    let (web, sluice) = start(origin.address(), "");
    let mut client = ask(web, "any.test:1");
    // What comes with the request is the tunnel's.
    client.send("early");
    let head = opened(&mut client);
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    let mut word = [0; 5];
    client.socket().read_exact(&mut word).unwrap();
    assert_eq!(&word, b"early");
    let mut other = Ending(
        python("tunnel.py")
            .args(["2", &web.port().to_string(), "far.test:8"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(other.0.stdout.take().unwrap());
    let mut line = String::new();
    for expect in ["200\n", "ready\n"] {
        line.clear();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, expect);
    }
    sluice.replace(&text(web, origin.address(), ", retry: 3"));
    eventually("another configuration is in force", || sluice.metrics().sum("sluice_config_generation", &[]) == 2);
    client.send("late");
    client.finish();
    assert_eq!(client.rest().unwrap(), b"late", "our half is closed, the other not before it has said all");
    other.0.stdin.take().unwrap().write_all(b"on\n").unwrap();
    line.clear();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "262148\n");
    eventually("all are over", || sluice.metrics().sum("sluice_requests_active", &[]) == 0);
    assert_eq!(sluice.metrics().sum("sluice_upstream_connections_active", &[]), 0);
}

/// Over both versions, in the clear and through TLS, to an origin in the clear and to one through TLS; a refusal leaves TLS and HTTP/2 what they were.
#[test]
fn on_every_way() {
    let (origin, authority) = (Origin::tcp(), Authority::new());
    let (plain, secure, back) = (free_address(), free_address(), free_address());
    let pair = authority.sign(&["clear.test", "sealed.test", "closed.test"]);
    let ca = authority.file().display().to_string();
    let sites = "{ sites: [{ hosts: [clear.test], routes: [{ connect: {}, to: clear }] }, \
                 { hosts: [sealed.test], routes: [{ connect: {}, to: sealed }] }, { hosts: [closed.test], routes: [{ to: clear }] }] }";
    let sluice = Setup::new(format!(
        "secrets: {{ shop: {} }}
listeners:
  plain: {{ bind: [\"{plain}\"], http: {sites} }}
  secure: {{ bind: [\"{secure}\"], tls: {{ certificates: [shop] }}, http: {sites} }}
  back: {{ bind: [\"{back}\"], tls: {{ certificates: [shop], alpn: [] }}, tcp: clear }}
clusters:
  clear: {{ endpoints: [\"{origin}\"] }}
  sealed: {{ endpoints: [\"{back}\"], tls: {{ server_name: sealed.test, ca: \"{ca}\" }} }}
",
        pair.secret()
    ))
    .start();
    for (version, address, ca) in [("1", plain, None), ("2", plain, None), ("1", secure, Some(&ca)), ("2", secure, Some(&ca))] {
        for (host, expect) in [("clear.test", "200\nready\n262148\n"), ("sealed.test", "200\nready\n262148\n"), ("closed.test", "501\n")] {
            let (port, asked) = (address.port().to_string(), format!("{host}:7"));
            let arguments: Vec<&str> = [version, &port, &asked].into_iter().chain(ca.map(String::as_str)).collect();
            assert_eq!(run_python("tunnel.py", &arguments), expect, "{arguments:?}");
        }
    }
    eventually("all are over", || sluice.metrics().sum("sluice_requests_active", &[]) == 0);
}

/// An origin that agrees to everything and sends every byte back.
fn agreeing() -> Scripted {
    Scripted::start(|turn| {
        if turn.request().is_some() {
            turn.send(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = turn.stream.read(&mut bytes) {
                turn.send(&bytes[..count]);
            }
            turn.send("bye");
        }
    })
}

/// A WebSocket, as far as bytes go.
fn upgraded(web: SocketAddr) -> Client {
    let mut client = Client::connect(web);
    client.send(
        "GET / HTTP/1.1\r\nhost: near.test\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let head = opened(&mut client);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

#[test]
fn a_half_of_a_websocket_closes() {
    let origin = agreeing();
    let (web, _sluice) = start(origin.address(), "");
    let mut client = upgraded(web);
    client.send("word");
    client.finish();
    assert_eq!(client.rest().unwrap(), b"wordbye");
}

#[test]
fn time_is_up() {
    let (tcp, agreeing) = (Origin::tcp(), agreeing());
    for (timeouts, reason) in [("tunnel_idle: 200ms", "idle_timeout"), ("tunnel: 300ms", "tunnel_timeout")] {
        let (web, sluice) = start(tcp.address(), &format!(", timeouts: {{ {timeouts} }}"));
        let mut client = ask(web, "any.test:1");
        opened(&mut client);
        drop(client.rest());
        eventually(format_args!("{timeouts} ends CONNECT"), || sluice.metrics().faults(reason) == 1);
        let (web, sluice) = start(agreeing.address(), &format!(", timeouts: {{ {timeouts} }}"));
        drop(upgraded(web).rest());
        eventually(format_args!("{timeouts} ends WebSocket"), || sluice.metrics().faults(reason) == 1);
    }
}
