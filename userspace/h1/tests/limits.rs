//! Every limit, reached and not quite reached, whole and in pieces.

mod common;

use common::{client, server, story};
use h1::{CONNECTION_OPTIONS_MAX, Connection, INTERIM_RESPONSES_MAX, Settings};
use model::{HeadLimits, Scheme};

fn small() -> Connection {
    Connection::server(Settings { limits: HeadLimits { head_bytes_max: 200, target_bytes_max: 20, fields_max: 4 }, scheme: Scheme::Http })
}

fn check(make: impl Fn() -> Connection, input: &str, expect: &str) {
    for step in [1, 7, 150, input.len().max(1)] {
        let pieces: Vec<&[u8]> = input.as_bytes().chunks(step).collect();
        let got = story(make(), &pieces, false);
        assert!(got.ends_with(expect), "{input:?} by {step}: {got}");
    }
}

#[test]
fn the_target() {
    let request = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    check(small, &request(20), "x; Host: a .");
    check(small, &request(21), "414 target_too_long");
    check(small, &format!("GET /{}", "x".repeat(194)), "");
    check(small, &format!("GET /{}", "x".repeat(195)), "414 target_too_long");
}

#[test]
fn the_head() {
    let request = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length - 32));
    check(small, &request(200), "x .");
    check(small, &request(201), "431 head_too_large");
    check(small, &request(500), "431 head_too_large");
    check(small, &request(500)[..199], "");
    check(small, &request(500)[..200], "431 head_too_large");
}

#[test]
fn the_number_of_fields() {
    let request = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: b\r\n".repeat(fields - 1));
    check(small, &request(4), "X: b .");
    check(small, &request(5), "431 head_too_large");
    check(server, &request(100), "X: b .");
    check(server, &request(101), "431 head_too_large");
}

#[test]
fn the_trailers() {
    let request = |trailers: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n");
    check(small, &request(&"X: b\r\n".repeat(4)), "X: b | end");
    check(small, &request(&"X: b\r\n".repeat(5)), "431 head_too_large");
    check(small, &request(&format!("X: {}\r\n", "b".repeat(193))), "b | end");
    check(small, &request(&format!("X: {}\r\n", "b".repeat(194))), "431 head_too_large");
}

#[test]
fn the_options_of_connection() {
    let request = |options: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close{}\r\n\r\n", ", x".repeat(options));
    check(server, &request(CONNECTION_OPTIONS_MAX), "Host: a .");
    check(server, &request(CONNECTION_OPTIONS_MAX + 1), "400 malformed_head");
}

#[test]
fn the_interim_responses() {
    let responses = |count: u8| "HTTP/1.1 102 Processing\r\n\r\n".repeat(usize::from(count)) + "HTTP/1.1 204 No Content\r\n\r\n";
    check(|| client("GET"), &responses(INTERIM_RESPONSES_MAX), "204 No Content .");
    check(|| client("GET"), &responses(INTERIM_RESPONSES_MAX + 1), "502 malformed_response");
}
