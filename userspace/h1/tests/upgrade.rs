//! Upgrades (RFC 9110 §7.8, RFC 6455): asked for, agreed to, declined; nothing is read as something else before the origin has agreed.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use buf::{Chunk, Output};
use common::drain;
use h1::{Connection, Settings};
use model::{Body, Head, Part};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n";

/// A server that was asked, and what it was told.
fn asked(request: &str) -> (Connection, Head) {
    let mut connection = Connection::server(Settings::default());
    let Some(Part::Head(head)) = connection.receive(&mut Chunk::from(request)).unwrap() else { panic!("no head") };
    (connection, head)
}

fn asking(head: &Head) -> (Connection, String) {
    let (mut connection, mut output) = (Connection::client(Settings::default()), Output::default());
    connection.send_head(head, &mut output).unwrap();
    (connection, String::from_utf8(drain(&mut output)).unwrap())
}

#[test]
fn an_upgrade_goes_through_and_each_half_ends_alone() {
    let (mut down, request) = asked(REQUEST);
    assert_eq!((&request.request().unwrap().protocol[..], request.body, request.end), (&b"websocket"[..], Body::Unknown, false));
    assert!(down.is_waiting(), "nothing is read before the answer");
    let (mut up, written) = asking(&request);
    assert_eq!(written, "GET /chat HTTP/1.1\r\nHost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert!(up.is_held(), "nothing is sent before the answer");
    let mut answer = Chunk::from("HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\nConnection: upgrade\r\nx: y\r\n\r\nhello");
    let Part::Head(head) = up.receive(&mut answer).unwrap().unwrap() else { panic!("an interim response") };
    assert_eq!((head.status(), head.body, head.end), (101, Body::Unknown, false));
    assert_eq!(up.receive(&mut answer).unwrap(), Some(Part::Data("hello".into())));
    let mut output = Output::default();
    down.send_head(&head, &mut output).unwrap();
    down.send_data("hello".into(), &mut output).unwrap();
    assert_eq!(
        String::from_utf8(drain(&mut output)).unwrap(),
        "HTTP/1.1 101 Sure\r\nx: y\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello"
    );
    // What looks like a request is none.
    let mut bytes = Chunk::from("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(down.receive(&mut bytes).unwrap(), Some(Part::Data("GET / HTTP/1.1\r\n\r\n".into())));
    up.send_data("GET".into(), &mut output).unwrap();
    assert_eq!(drain(&mut output), b"GET");
    assert_eq!(down.eof().unwrap(), Some(Part::End));
    up.send_end(&mut output).unwrap();
    assert!(up.half_is_over() && !down.half_is_over());
    assert_eq!(up.eof().unwrap(), Some(Part::End));
    down.send_end(&mut output).unwrap();
    assert!(down.half_is_over() && !down.can_reuse() && !up.can_reuse() && drain(&mut output).is_empty());
}

#[test]
fn an_upgrade_that_is_declined_leaves_two_good_connections() {
    let (mut down, request) = asked(REQUEST);
    let (mut up, _) = asking(&request);
    let Some(Part::Head(head)) = up.receive(&mut Chunk::from("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")).unwrap() else { panic!() };
    let mut output = Output::default();
    assert!(!up.is_held());
    up.send_end(&mut output).unwrap();
    down.send_head(&head, &mut output).unwrap();
    assert_eq!(drain(&mut output), b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    assert!(down.can_reuse() && up.can_reuse());
    let (_, next) = asked("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    up.send_head(&next, &mut output).unwrap();
    assert!(!up.is_held());
}

#[test]
fn what_is_no_upgrade_is_passed_on_without_it() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let (_, head) = asked(request);
        assert!(head.request().unwrap().protocol.is_empty(), "{request:?}");
        assert!(!asking(&head).1.contains("upgrade"), "{request:?}");
    }
}

#[test]
fn an_origin_that_switches_to_something_else_is_broken() {
    let (_, request) = asked(REQUEST);
    for answer in [
        "HTTP/1.1 101 S\r\n\r\n",
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let (mut up, _) = asking(&request);
        assert!(up.receive(&mut Chunk::from(answer)).is_err(), "{answer:?}");
    }
}
