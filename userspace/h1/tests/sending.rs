//! What Parts become on the wire, and what is refused.

#![expect(clippy::unwrap_used, clippy::format_push_string, clippy::too_many_lines, reason = "tables are long, and a test may fail")]

mod common;

use buf::{Chunk, Output};
use common::{bytes, drain, server, show};
use h1::{Connection, Sent, Settings};
use model::{Body, Cause, Fault, Fields, Head, Method, Part, RequestLine, Retry, Scheme, Start, Text};

fn request(method: Method, body: Body) -> Head {
    let line = RequestLine { method, scheme: Scheme::Http, authority: Text::from("a"), path: Text::from("/p"), protocol: Text::default() };
    Head { start: Start::Request(line), fields: Fields::default(), body, end: body == Body::None }
}

fn with(mut head: Head, fields: &[(&str, &str)]) -> Head {
    for (name, value) in fields {
        head.fields.append(name.as_bytes(), value.as_bytes());
    }
    head
}

fn ended(mut head: Head) -> Head {
    head.end = true;
    head
}

fn data(text: &str) -> Part {
    Part::Data(Chunk::from(text))
}

fn trailers() -> Part {
    let mut fields = Fields::default();
    fields.append(b"T", b"v");
    fields.append(b"content-length", b"7");
    Part::Trailers(fields)
}

/// All that `parts` become on `connection`, and how it ended.
fn send(connection: &mut Connection, parts: Vec<Part>) -> String {
    let mut output = Output::default();
    let mut remarks = String::new();
    for part in parts {
        match connection.send(part, &mut output) {
            Ok(Sent::Written) => {}
            Ok(Sent::Dropped) => remarks += " dropped",
            Err(fault) => remarks += &format!(" {}", fault.cause.reason()),
        }
    }
    if connection.must_close() {
        remarks += " close";
    }
    format!("{}{remarks}{}", show(&drain(&mut output)), if connection.sending_done() { " done" } else { "" })
}

#[test]
fn requests() {
    use Part::{End, Head};
    for (what, parts, expect) in [
        ("no body", vec![Head(request(Method::Get, Body::None))], r"GET /p HTTP/1.1\r\nhost: a\r\n\r\n done"),
        (
            "known",
            vec![Head(request(Method::Post, Body::Known(3))), data("ab"), data("c"), End],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc done",
        ),
        (
            "of nothing",
            vec![Head(ended(request(Method::Post, Body::Known(0))))],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n done",
        ),
        (
            "unknown",
            vec![Head(request(Method::Post, Body::Unknown)), data("0123456789"), data(""), data("c"), trailers(), End],
            r"POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nc\r\n0\r\nT: v\r\n\r\n done",
        ),
        (
            "unknown but ended",
            vec![Head(ended(request(Method::Post, Body::Unknown)))],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n done",
        ),
        (
            "places and case are kept, what is ours is not believed",
            vec![
                Head(with(
                    request(Method::Put, Body::Known(1)),
                    &[
                        ("X", "1"),
                        ("Host", "evil"),
                        ("Content-Length", "9"),
                        ("Transfer-Encoding", "chunked"),
                        ("Connection", "x"),
                        ("Content-Length", "9"),
                        ("host", "evil"),
                        ("TE", "gzip, trailers"),
                        ("Y", "2"),
                    ],
                )),
                data("b"),
                End,
            ],
            r"PUT /p HTTP/1.1\r\nX: 1\r\nHost: a\r\nContent-Length: 1\r\nY: 2\r\nte: trailers\r\nconnection: te\r\n\r\nb done",
        ),
        (
            "trailers without chunks",
            vec![Head(request(Method::Post, Body::Known(0))), trailers(), End],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n dropped done",
        ),
        (
            "too much",
            vec![Head(request(Method::Post, Body::Known(1))), data("bc")],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n internal close",
        ),
        (
            "too little",
            vec![Head(request(Method::Post, Body::Known(2))), data("b"), End],
            r"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nb internal close",
        ),
        (
            "content of nothing",
            vec![Head(request(Method::Get, Body::None)), data("b")],
            r"GET /p HTTP/1.1\r\nhost: a\r\n\r\n internal close",
        ),
        ("no content though announced", vec![Head(ended(request(Method::Post, Body::Known(2))))], " internal close"),
        ("CONNECT", vec![Head(request(Method::Connect, Body::None))], " internal close"),
        ("a response", vec![Head(model::Head::response(200, Body::None))], " internal close"),
        ("an interim response", vec![Part::Info(model::Head::response(100, Body::None))], " internal close"),
        ("data first", vec![data("b")], " internal close"),
        ("a line break in a value", vec![Head(with(request(Method::Get, Body::None), &[("X", "b\r\nY: c")]))], " internal close"),
        ("a NUL in a value", vec![Head(with(request(Method::Get, Body::None), &[("X", "b\0")]))], " internal close"),
        ("a space in a method", vec![Head(request(Method::Other(Text::from("A B")), Body::None))], " internal close"),
    ] {
        assert_eq!(send(&mut Connection::client(Settings::default()), parts), expect, "{what}");
    }
}

#[test]
fn a_request_head_can_be_sent_again() {
    let head = with(request(Method::Get, Body::None), &[("X", "1")]);
    let (mut first, mut second) = (Output::default(), Output::default());
    Connection::client(Settings::default()).send_head(&head, &mut first).unwrap();
    Connection::client(Settings::default()).send_head(&head, &mut second).unwrap();
    assert_eq!(drain(&mut first), drain(&mut second));
}

#[test]
fn a_connection_that_is_used_up_says_so() {
    let mut connection = Connection::client(Settings::default());
    assert_eq!(connection.eof(), Ok(None));
    let refused = connection.send_head(&request(Method::Post, Body::None), &mut Output::default());
    assert_eq!(refused, Err(Fault { retry: Retry::Safe, ..Fault::origin(Cause::UpstreamReset) }));
}

#[test]
fn the_last_request_says_so() {
    let mut connection = Connection::client(Settings::default());
    connection.close_after();
    assert_eq!(
        send(&mut connection, vec![Part::Head(request(Method::Get, Body::None))]),
        r"GET /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n close done"
    );
}

/// A server that has read this request.
fn asked(request: &str) -> Connection {
    let mut connection = server();
    let mut input = Chunk::copy_of(&bytes(request));
    while connection.receive(&mut input).unwrap().is_some() {}
    connection
}

const GET: &str = r"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = r"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = r"GET / HTTP/1.0\r\n\r\n";
const OLD_KEPT: &str = r"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const LAST: &str = r"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn responses() {
    let response = Head::response;
    for (what, request, parts, expect) in [
        (
            "known",
            GET,
            vec![Part::Head(response(200, Body::Known(1))), data("b"), Part::End],
            r"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb done",
        ),
        ("none", GET, vec![Part::Head(response(200, Body::None))], r"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n done"),
        ("no reason", GET, vec![Part::Head(response(299, Body::None))], r"HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n done"),
        (
            "unknown",
            GET,
            vec![Part::Head(response(200, Body::Unknown)), data("b"), trailers(), Part::End],
            r"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nT: v\r\n\r\n done",
        ),
        (
            "unknown to HTTP/1.0",
            OLD,
            vec![Part::Head(response(200, Body::Unknown)), data("b"), trailers(), Part::End],
            r"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nb dropped close done",
        ),
        (
            "unknown to HTTP/1.0 that would stay",
            OLD_KEPT,
            vec![Part::Head(response(200, Body::Unknown)), data("b"), Part::End],
            r"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nb close done",
        ),
        (
            "known to HTTP/1.0",
            OLD,
            vec![Part::Head(response(404, Body::None))],
            r"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n close done",
        ),
        (
            "known to HTTP/1.0 that stays",
            OLD_KEPT,
            vec![Part::Head(response(404, Body::None))],
            r"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n done",
        ),
        (
            "the last",
            LAST,
            vec![Part::Head(response(404, Body::None))],
            r"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n close done",
        ),
        (
            "HEAD, known",
            HEAD,
            vec![Part::Head(response(200, Body::Known(3))), data("abc"), Part::End],
            r"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n dropped done",
        ),
        (
            "HEAD, unknown",
            HEAD,
            vec![Part::Head(response(200, Body::Unknown)), data("abc"), trailers(), Part::End],
            r"HTTP/1.1 200 OK\r\n\r\n dropped dropped done",
        ),
        (
            "HEAD, as the origin said",
            HEAD,
            vec![Part::Head(with(response(200, Body::None), &[("Content-Length", "5")]))],
            r"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n done",
        ),
        ("HEAD, as the origin did not say", HEAD, vec![Part::Head(response(200, Body::None))], r"HTTP/1.1 200 OK\r\n\r\n done"),
        (
            "304",
            GET,
            vec![Part::Head(with(response(304, Body::None), &[("Content-Length", "5")]))],
            r"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n done",
        ),
        (
            "204 has no length",
            GET,
            vec![Part::Head(with(response(204, Body::None), &[("Content-Length", "5"), ("X", "y")]))],
            r"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n done",
        ),
        (
            "interim",
            GET,
            vec![
                Part::Info(with(response(103, Body::None), &[("Link", "b"), ("Content-Length", "5")])),
                Part::Head(response(204, Body::None)),
            ],
            r"HTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n done",
        ),
        (
            "interim to HTTP/1.0",
            OLD_KEPT,
            vec![Part::Info(response(100, Body::None)), Part::Head(response(204, Body::None))],
            r"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n dropped done",
        ),
        ("101", GET, vec![Part::Info(response(101, Body::None))], " internal close"),
        ("interim as final", GET, vec![Part::Head(response(100, Body::None))], " internal close"),
        ("no status", GET, vec![Part::Head(response(600, Body::None))], " internal close"),
        (
            "two heads",
            GET,
            vec![Part::Head(response(204, Body::None)), Part::Head(response(204, Body::None))],
            r"HTTP/1.1 204 No Content\r\n\r\n internal close",
        ),
        ("splitting", GET, vec![Part::Head(with(response(204, Body::None), &[("X", "\r\n\r\nHTTP/1.1 200 OK")]))], " internal close"),
        (
            "trailers that split",
            GET,
            vec![Part::Head(response(200, Body::Unknown)), Part::Trailers(with(response(204, Body::None), &[("X", "a\nb")]).fields)],
            r"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n internal close",
        ),
        (
            "before the request",
            "",
            vec![Part::Head(response(408, Body::None))],
            r"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n close done",
        ),
        (
            "in the request's head",
            r"GET / HT",
            vec![Part::Head(response(408, Body::None))],
            r"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n close done",
        ),
    ] {
        assert_eq!(send(&mut asked(request), parts), expect, "{what}");
    }
}

#[test]
fn a_fault_can_be_answered() {
    let mut connection = server();
    let fault = connection.receive(&mut Chunk::from("GET / HTTP/1.1\r\n\r\n")).unwrap_err();
    assert_eq!(
        send(&mut connection, vec![Part::Head(Head::response(fault.cause.status(), Body::Known(2))), data("no"), Part::End]),
        r"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno close done"
    );
}

#[test]
fn large_content_is_not_copied() {
    let block = Chunk::from(vec![b'x'; 100_000]);
    let mut connection = asked(GET);
    let mut output = Output::default();
    connection.send(Part::Head(Head::response(200, Body::Unknown)), &mut output).unwrap();
    connection.send(Part::Data(block.clone()), &mut output).unwrap();
    let pieces = output.take(Vec::new());
    assert!(pieces.iter().any(|piece| piece.as_ptr() == block.as_ptr() && piece.len() == block.len()));

    let mut connection = server();
    let mut input = Chunk::from([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".to_vec(), vec![b'x'; 9]].concat());
    let content = input.slice(input.len() - 9, input.len());
    connection.receive(&mut input).unwrap();
    let Some(Part::Data(received)) = connection.receive(&mut input).unwrap() else { panic!("content follows") };
    assert_eq!(received.as_ptr(), content.as_ptr());
}

#[test]
fn who_waits_for_100_continue() {
    let request = r"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert!(asked(request).expects_continue());
    assert!(!asked(&format!("{request}b")).expects_continue(), "content has come");
    let mut told = asked(request);
    send(&mut told, vec![Part::Info(Head::response(100, Body::None))]);
    assert!(!told.expects_continue());
    let mut refused = asked(request);
    send(&mut refused, vec![Part::Head(Head::response(413, Body::None))]);
    assert!(!refused.expects_continue());
    assert!(!refused.can_reuse(), "the request is not complete");
    assert!(!asked(r"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n").expects_continue());
}

#[test]
fn an_early_response_leaves_the_request_to_be_read() {
    let mut connection = asked(r"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    send(&mut connection, vec![Part::Head(Head::response(403, Body::None))]);
    assert!(connection.sending_done() && !connection.receiving_done() && !connection.can_reuse() && !connection.is_waiting());
    let mut rest = Chunk::from("cdGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.receive(&mut rest), Ok(Some(data("cd"))));
    assert_eq!(connection.receive(&mut rest), Ok(Some(Part::End)));
    assert!(connection.can_reuse());
    assert!(matches!(connection.receive(&mut rest), Ok(Some(Part::Head(_)))));
}

#[test]
fn nothing_is_asked_for_after_a_fault() {
    let mut connection = asked(r"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut wrong = Chunk::from("x\r\nGET / HTTP/1.1\r\n");
    assert!(!connection.is_waiting());
    assert!(connection.receive(&mut wrong).is_err());
    assert!(connection.is_waiting() && !connection.receiving_done());
    assert_eq!(connection.receive(&mut wrong), Ok(None));
}

#[test]
fn a_pipelined_request_waits_its_turn() {
    let mut connection = server();
    let mut input = Chunk::from("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let whole = input.len();
    assert!(connection.receive(&mut input).unwrap().is_some_and(|part| part.is_end()));
    assert_eq!(input.len(), whole / 2);
    assert_eq!(connection.receive(&mut input), Ok(None));
    assert!(connection.is_waiting() && input.len() == whole / 2, "nothing is taken before the response is complete");
    send(&mut connection, vec![Part::Head(Head::response(204, Body::None))]);
    assert!(!connection.is_waiting());
    assert!(connection.receive(&mut input).unwrap().is_some_and(|part| part.is_end()));
    connection.close_after();
    assert_eq!(
        send(&mut connection, vec![Part::Head(Head::response(204, Body::None))]),
        r"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n close done"
    );
}
