//! What RFC 9112 and RFC 9110 ask of a recipient, section by section: bytes in, what the codec made of them out. Each row is also fed byte
//! by byte.

#![expect(clippy::too_many_lines, reason = "tables are long")]

mod common;

use common::{bytes, client, server, story};
use h1::Connection;

fn check(make: impl Fn() -> Connection, rows: &[(&str, &str, &str)]) {
    for (section, input, expect) in rows {
        let input = bytes(input);
        assert_eq!(story(make(), &[&input], true), *expect, "{section}: {:?}", input.escape_ascii().to_string());
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(story(make(), &single, true), *expect, "{section} byte by byte: {:?}", input.escape_ascii().to_string());
    }
}

/// Rows without the parts that are always the same: a request line's end and a Host.
fn check_fields(rows: &[(&str, &str, &str)]) {
    let rows: Vec<_> =
        rows.iter().map(|(section, fields, expect)| (*section, format!("POST / HTTP/1.1\\r\\nHost: a\\r\\n{fields}"), *expect)).collect();
    let rows: Vec<_> = rows.iter().map(|(section, input, expect)| (*section, input.as_str(), *expect)).collect();
    check(server, &rows);
}

#[test]
fn message_format_and_parsing() {
    check(
        server,
        &[
            ("9112 2.1", r"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a /; Host: a . | closed"),
            ("9112 2.1 at rest", r"", "closed"),
            ("9112 8 cut off", r"GET / HTTP/1.1\r\nHost: a\r\n", "cut off: downstream_reset"),
            ("9112 2.2 one empty line is skipped", r"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a /; Host: a . | closed"),
            ("9112 2.2 two empty lines are skipped", r"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a /; Host: a . | closed"),
            ("9112 2.2 more are not", r"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            (
                "9112 2.2 nor counted twice",
                r"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET http a /; Host: a . | GET http a /b; Host: a . | closed",
            ),
            ("9112 2.2 bare LF ends no line", r"GET / HTTP/1.1\nHost: a\n\n", "400 malformed_head"),
            ("9112 2.2 bare LF ends no request line", r"GET / HTTP/1.1\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 bare LF ends no field", r"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 bare LF is no empty line", r"GET / HTTP/1.1\r\nHost: a\r\n\n", "400 malformed_head"),
            ("9112 2.2 bare LF before the request line", r"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 bare CR in a value", r"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 bare CR in the request line", r"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 CR before CRLF", r"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 CR before the request line", r"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 white space before the first field", r"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.2 not HTTP", r"\x16\x03\x01\x02\x00\x01\x00", "400 malformed_head"),
            ("9112 2.3 HTTP/0.9", r"GET /\r\n\r\n", "400 malformed_head"),
            ("9110 2.5 later minor versions are 1.1", r"GET / HTTP/1.7\r\nHost: a\r\n\r\n", "GET http a /; Host: a . | closed"),
            (
                "9110 2.5 also with it in the target",
                r"GET /HTTP/1.8 HTTP/1.7\r\nHost: a\r\n\r\n",
                "GET http a /HTTP/1.8; Host: a . | closed",
            ),
            ("9112 2.3 two digits are none", r"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.3 HTTP/2", r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version_not_supported"),
            ("9112 2.3 HTTP/3", r"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 version_not_supported"),
            ("9112 2.3 HTTP/0", r"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 version_not_supported"),
            ("9112 2.3 case", r"GET / http/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.3 another protocol", r"GET / RTSP/1.0\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 2.3 no version", r"GET / \r\nHost: a\r\n\r\n", "400 malformed_head"),
        ],
    );
}

#[test]
fn the_request_line() {
    check(
        server,
        &[
            ("9112 3 two spaces", r"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3 a tab", r"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3 space at the end", r"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3 space in the target", r"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3.1 no method", r" / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3.1 not a token", r"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3.1 colon", r"GET:/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9110 9.1 methods have case", r"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get http a /; Host: a . | closed"),
            ("9110 9.1 any token is a method", r"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH http a /; Host: a . | closed"),
            ("9112 3.2.1 origin form", r"GET /a/../b?c=%2F HTTP/1.1\r\nHost: a\r\n\r\n", "GET http a /a/../b?c=%2F; Host: a . | closed"),
            ("9112 3.2.1 no slash", r"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
            ("9112 3.2 fragment", r"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
            ("9112 3.2 not ASCII", r"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
            ("9112 3.2 not even UTF-8", r"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3.2 NUL", r"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            ("9112 3.2 DEL", r"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed_head"),
            (
                "9112 3.2.2 absolute form overrides Host",
                r"GET http://b:1/c HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET http b:1 /c; Host: a . | closed",
            ),
            ("9112 3.2.2 scheme", r"GET hTTps://b HTTP/1.1\r\nHost: b\r\n\r\n", "GET https b /; Host: b . | closed"),
            ("9112 3.2.2 an empty Host beside it", r"GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n", "GET http b /; Host:  . | closed"),
            ("9112 3.2.2 Host is needed nevertheless", r"GET http://b/ HTTP/1.1\r\n\r\n", "400 bad_host"),
            ("9112 3.2.2 and valid", r"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400 bad_host"),
            ("9110 4.2.4 user information", r"GET http://u:p@b/ HTTP/1.1\r\nHost: b\r\n\r\n", "400 bad_target"),
            ("9110 4.2.1 empty host", r"GET http:///c HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
            ("9112 3.2.2 other schemes", r"GET ftp://b/ HTTP/1.1\r\nHost: b\r\n\r\n", "400 bad_target"),
            ("9112 3.2.3 authority form without CONNECT", r"GET b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", "400 bad_target"),
            ("9112 3.2.3 CONNECT", r"CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", "CONNECT http b:80 ; Host: b:80; unknown | end"),
            ("9112 3.2.4 asterisk form", r"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http a *; Host: a . | closed"),
            ("9112 3.2.4 of the proxy", r"OPTIONS http://b:8001 HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS http b:8001 *; Host: a . | closed"),
            ("9112 3.2.4 only OPTIONS", r"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
            ("9112 3.2.4 nothing behind it", r"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"),
        ],
    );
}

#[test]
fn host() {
    check(
        server,
        &[
            ("9112 3.2 missing", r"GET / HTTP/1.1\r\nX: a\r\n\r\n", "400 bad_host"),
            ("9112 3.2 repeated", r"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 bad_host"),
            ("9112 3.2 repeated in another case", r"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", "400 bad_host"),
            ("9112 3.2 two in one", r"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 bad_host"),
            ("9112 3.2 not a host", r"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 bad_host"),
            ("9112 3.2 user information", r"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "400 bad_host"),
            ("9112 3.2 not a port", r"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400 bad_host"),
            ("9112 3.2 obs-text", r"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", "400 bad_host"),
            ("9112 3.2 IPv6", r"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET http [::1]:80 /; Host: [::1]:80 . | closed"),
            ("9110 4.2.1 empty", r"GET / HTTP/1.1\r\nHost: \r\n\r\n", "400 bad_host"),
            ("9112 3.2 empty without a URI", r"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "OPTIONS http  *; Host:  . | closed"),
            ("9112 3.2 HTTP/1.0 needs none", r"GET / HTTP/1.0\r\n\r\n", "GET http  / . | closed"),
            ("9112 3.2 HTTP/1.0 may have one", r"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET http a /; Host: a . | closed"),
            ("9112 3.2 HTTP/1.0 may not have two", r"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 bad_host"),
        ],
    );
}

#[test]
fn field_syntax() {
    check_fields(&[
        ("9112 5 white space around the value", r"X: \t b c \t\r\n\r\n", "POST http a /; Host: a; X: b c . | closed"),
        ("9112 5 no white space", r"X:b\r\n\r\n", "POST http a /; Host: a; X: b . | closed"),
        ("9112 5 empty value", r"X:\r\nY: \r\n\r\n", "POST http a /; Host: a; X: ; Y:  . | closed"),
        ("9110 5.5 obs-text and tabs", r"X: \xe9\tb\r\n\r\n", r"POST http a /; Host: a; X: \xe9\tb . | closed"),
        (
            "9110 5.1 case and order survive",
            r"x-B: 1\r\nX-a: 2\r\nX-b: 3\r\n\r\n",
            "POST http a /; Host: a; x-B: 1; X-a: 2; X-b: 3 . | closed",
        ),
        ("9112 5.1 space before the colon", r"X : b\r\n\r\n", "400 malformed_head"),
        ("9112 5.1 tab before the colon", "X\\t: b\\r\\n\\r\\n", "400 malformed_head"),
        ("9112 5.1 no colon", r"X\r\n\r\n", "400 malformed_head"),
        ("9110 5.1 empty name", r": b\r\n\r\n", "400 malformed_head"),
        ("9110 5.1 not a token", r"X(: b\r\n\r\n", "400 malformed_head"),
        ("9110 5.1 obs-text in a name", r"X\xe9: b\r\n\r\n", "400 malformed_head"),
        ("9110 5.1 NUL in a name", r"X\0: b\r\n\r\n", "400 malformed_head"),
        ("9112 5.2 obs-fold", r"X: b\r\n c\r\n\r\n", "400 malformed_head"),
        ("9112 5.2 obs-fold by tab", r"X: b\r\n\tc\r\n\r\n", "400 malformed_head"),
        ("9112 5.2 obs-fold of nothing", r"X:\r\n b\r\n\r\n", "400 malformed_head"),
        ("9112 5.2 obs-fold at the end", r"X: b\r\n \r\n\r\n", "400 malformed_head"),
        ("9110 5.5 NUL", r"X: b\0c\r\n\r\n", "400 malformed_head"),
        ("9110 5.5 DEL", r"X: b\x7fc\r\n\r\n", "400 malformed_head"),
        ("9110 5.5 vertical tab", r"X: b\x0bc\r\n\r\n", "400 malformed_head"),
        ("9110 5.5 escape", r"X: b\x1bc\r\n\r\n", "400 malformed_head"),
        ("CGI names that frame", r"Content_Length: 3\r\n\r\nabc", "400 malformed_head"),
        ("CGI names that vouch", r"X_Forwarded-For: 1.2.3.4\r\n\r\n", "400 malformed_head"),
        ("other underscores", r"X_Y: b\r\n\r\n", "POST http a /; Host: a; X_Y: b . | closed"),
    ]);
}

#[test]
fn message_body_length() {
    check_fields(&[
        ("9112 6.3.7 no framing, no content", r"\r\n", "POST http a /; Host: a . | closed"),
        ("9112 6.2 known", r"Content-Length: 3\r\n\r\nabc", r#"POST http a /; Host: a; Content-Length: 3; known 3 | "abc" | end | closed"#),
        ("9112 6.2 zero", r"Content-Length: 0\r\n\r\n", "POST http a /; Host: a; Content-Length: 0; known 0 . | closed"),
        (
            "9112 8 incomplete",
            r"Content-Length: 4\r\n\r\nabc",
            r#"POST http a /; Host: a; Content-Length: 4; known 4 | "abc" | cut off: downstream_reset"#,
        ),
        ("9112 6.3.3 both", r"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9112 6.3.3 both, the other order", r"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9110 8.6 differing", r"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 repeated", r"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 list", r"Content-Length: 3, 3\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 sign", r"Content-Length: +3\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 minus", r"Content-Length: -1\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 empty", r"Content-Length:\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 hexadecimal", r"Content-Length: 0x3\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 inner space", r"Content-Length: 3 3\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 overflow", r"Content-Length: 18446744073709551619\r\n\r\nabc", "400 bad_framing"),
        ("9110 8.6 overflow of the sign", r"Content-Length: 9223372036854775808\r\n\r\nabc", "400 bad_framing"),
        (
            "9112 6.1 chunked",
            r"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            r#"POST http a /; Host: a; unknown | "abc" | end | closed"#,
        ),
        ("9112 7 codings have no case", r"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "POST http a /; Host: a; unknown | end | closed"),
        ("9112 6.1 unknown coding", r"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501 not_implemented"),
        ("9112 6.3.4 chunked is not the last", r"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9112 6.3.4 no chunked", r"Transfer-Encoding: identity\r\n\r\n", "400 bad_framing"),
        ("9112 7 chunked twice", r"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9112 7 chunked in two fields", r"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9112 7 empty", r"Transfer-Encoding:\r\n\r\n0\r\n\r\n", "400 bad_framing"),
        ("9112 7 a parameter", r"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "400 bad_framing"),
    ]);
    check(
        server,
        &[("9112 6.1 HTTP/1.0 has none", r"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 bad_framing")],
    );
}

/// Rows that differ in the chunked content only.
fn check_chunked(rows: &[(&str, &str, &str)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(section, content, expect)| {
            (*section, format!("Transfer-Encoding: chunked\\r\\n\\r\\n{content}"), format!("POST http a /; Host: a; unknown | {expect}"))
        })
        .collect();
    let rows: Vec<_> = rows.iter().map(|(section, input, expect)| (*section, input.as_str(), expect.as_str())).collect();
    check_fields(&rows);
}

#[test]
fn chunked_coding() {
    check_chunked(&[
        ("9112 7.1", r"3\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n", r#""abc0123456789" | end | closed"#),
        ("9112 8 cut off in a chunk", r"3\r\nab", r#""ab" | cut off: downstream_reset"#),
        ("9112 8 cut off before the last line", r"3\r\nabc\r\n0\r\n", r#""abc" | cut off: downstream_reset"#),
        ("9112 7.1.1 extensions are ignored", r"3;a=b;c=\x22d;e\x22\r\nabc\r\n0;f\r\n\r\n", r#""abc" | end | closed"#),
        ("9112 7.1.1 bad white space before them", r"3 ;a\r\nabc\r\n0\r\n\r\n", r#""abc" | end | closed"#),
        ("9112 7.1.1 and nothing but", r"3 \r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 bare LF after the size", r"3\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1.1 bare LF in an extension", r"3;a\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1.1 bare CR in an extension", r"3;a\rb\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 bare LF after the data", r"3\r\nabc\n0\r\n\r\n", r#""abc" | 400 bad_chunk"#),
        ("9112 7.1 nothing after the data", r"3\r\nabc0\r\n\r\n", r#""abc" | 400 bad_chunk"#),
        ("9112 7.1 more data than said", r"3\r\nabcd\r\n0\r\n\r\n", r#""abc" | 400 bad_chunk"#),
        ("9112 7.1 prefix", r"0x3\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 sign", r"+3\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 white space before", r" 3\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 empty size", r"\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1 overflow", r"10000000000000003\r\nabc\r\n0\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1.2 trailers", r"0\r\nX: a\r\nY: b\r\n\r\n", "trailers X: a; Y: b | end | closed"),
        ("9110 6.5.1 that may not be there", r"0\r\nContent-Length: 3\r\nHost: b\r\nX: a\r\n\r\n", "trailers X: a | end | closed"),
        ("9110 6.5.1 only such", r"0\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\n\r\n", "end | closed"),
        ("9112 7.1.2 malformed", r"0\r\nX : a\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1.2 folded", r"0\r\nX: a\r\n b\r\n\r\n", "400 bad_chunk"),
        ("9112 7.1.2 bare LF", r"0\r\nX: a\n\r\n", "400 bad_chunk"),
        ("9112 7.1 bare LF at the end", r"0\r\n\n", "400 bad_chunk"),
        ("9112 7.1 a request in the place of the end", r"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_chunk"),
    ]);
}

#[test]
fn hop_by_hop_fields() {
    check_fields(&[
        ("9110 7.6.1 Connection", r"Connection: close\r\nX: b\r\n\r\n", "POST http a /; Host: a; X: b . | closed"),
        (
            "9110 7.6.1 what it names",
            r"x-b: 1\r\nConnection: X-B , x-c\r\nX-C: 2\r\nX-D: 3\r\n\r\n",
            "POST http a /; Host: a; X-D: 3 . | closed",
        ),
        (
            "9110 7.6.1 in two fields",
            r"Connection: X-B\r\nX-B: 1\r\nConnection: X-C\r\nX-C: 2\r\n\r\n",
            "POST http a /; Host: a . | closed",
        ),
        (
            "9110 7.6.1 but not what is for all",
            r"Connection: host, content-length, x-forwarded-for, via, x-d\r\nX-D: e\r\nX-Forwarded-For: b\r\nVia: c\r\nContent-Length: 0\r\n\r\n",
            "POST http a /; Host: a; X-Forwarded-For: b; Via: c; Content-Length: 0; known 0 . | closed",
        ),
        ("9112 C.2.2", r"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n", "POST http a /; Host: a . | closed"),
        ("9110 7.8 Upgrade is ignored", r"Upgrade: h2c, websocket\r\nConnection: upgrade\r\n\r\n", "POST http a /; Host: a . | closed"),
        ("9110 10.1.4 TE", r"TE: gzip;q=0.5, trailers\r\n\r\n", "POST http a /; Host: a; TE: trailers . | closed"),
        ("9110 10.1.4 TE without trailers", r"TE: gzip\r\n\r\n", "POST http a /; Host: a . | closed"),
        (
            "9110 11.7 proxy authentication is passed on",
            r"Proxy-Authorization: x\r\n\r\n",
            "POST http a /; Host: a; Proxy-Authorization: x . | closed",
        ),
        (
            "9110 10.1.1 Expect",
            r"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nb",
            r#"POST http a /; Host: a; Expect: 100-Continue; Content-Length: 1; known 1 | "b" | end | closed"#,
        ),
        ("9110 10.1.1 without content", r"Expect: 100-continue\r\n\r\n", "POST http a /; Host: a . | closed"),
        ("9110 10.1.1 other expectations", r"Expect: 200-ok\r\n\r\n", "417 expectation_failed"),
    ]);
    check(
        server,
        &[(
            "9110 10.1.1 from HTTP/1.0",
            r"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nb",
            r#"POST http a /; Host: a; Content-Length: 1; known 1 | "b" | end | closed"#,
        )],
    );
}

#[test]
fn persistence() {
    let next = r"GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    for (section, first, goes_on) in [
        ("9112 9.3 1.1 goes on", r"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("9112 9.3 unless told otherwise", r"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false),
        ("9112 9.3 close is stronger", r"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false),
        ("9112 9.3 1.0 ends", r"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false),
        ("9112 9.3 unless told otherwise", r"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("9112 9.3 by Connection alone", r"GET / HTTP/1.0\r\nHost: a\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\n\r\n", false),
    ] {
        let got = story(server(), &[&bytes(first), &bytes(next)], false);
        assert_eq!(got.contains("/b"), goes_on, "{section}: {got}");
    }
}

#[test]
fn responses() {
    check(
        || client("GET"),
        &[
            ("9112 4", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", r#"200 OK; Content-Length: 1; known 1 | "a" | end | closed"#),
            ("9112 4 reason may be empty", r"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200; Content-Length: 0; known 0 . | closed"),
            (
                "9112 4 or missing with its space",
                r"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
                "200; Content-Length: 0; known 0 . | closed",
            ),
            (
                "9112 4 obs-text",
                r"HTTP/1.1 200 \xe9\tb\r\nContent-Length: 0\r\n\r\n",
                r"200 \xe9\tb; Content-Length: 0; known 0 . | closed",
            ),
            ("9112 4 control bytes", r"HTTP/1.1 200 a\0\r\nContent-Length: 0\r\n\r\n", "502 malformed_response"),
            ("9112 4 bare CR", r"HTTP/1.1 200 a\rb\r\nContent-Length: 0\r\n\r\n", "502 malformed_response"),
            ("9112 4 two digits", r"HTTP/1.1 20 OK\r\n\r\n", "502 malformed_response"),
            ("9112 4 four digits", r"HTTP/1.1 2000 OK\r\n\r\n", "502 malformed_response"),
            ("9110 15 beyond 599", r"HTTP/1.1 600 No\r\n\r\n", "502 malformed_response"),
            ("9110 15 below 100", r"HTTP/1.1 099 No\r\n\r\n", "502 malformed_response"),
            ("9110 15 unknown statuses", r"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", "599 X; Content-Length: 0; known 0 . | closed"),
            (
                "9112 2.3 later minor",
                r"HTTP/1.2 200 HTTP/1.3\r\nContent-Length: 0\r\n\r\n",
                "200 HTTP/1.3; Content-Length: 0; known 0 . | closed",
            ),
            ("9112 2.3 HTTP/2", r"HTTP/2.0 200 OK\r\n\r\n", "502 malformed_response"),
            ("9112 2.3 not HTTP", r"ICY 200 OK\r\n\r\n", "502 malformed_response"),
            ("9112 2.2 no empty lines", r"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "502 malformed_response"),
            ("9112 2.2 bare LF", r"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "502 malformed_response"),
            ("9112 5.1 space before the colon", r"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", "502 malformed_response"),
            ("9112 5.2 obs-fold", r"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "502 malformed_response"),
            ("9112 6.3.8 until close", r"HTTP/1.1 200 OK\r\n\r\nabc", r#"200 OK; unknown | "abc" | end"#),
            ("9112 6.3.8 of nothing", r"HTTP/1.0 200 OK\r\n\r\n", "200 OK; unknown | end"),
            (
                "9112 6.1 chunked",
                r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: v\r\n\r\n",
                r#"200 OK; unknown | "a" | trailers T: v | end | closed"#,
            ),
            ("9112 6.3.3 both", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "502 malformed_response"),
            ("9112 6.3.4 other codings", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "502 malformed_response"),
            ("9112 6.1 of HTTP/1.0", r"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "502 malformed_response"),
            ("9112 6.3.5 bad length", r"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n", "502 malformed_response"),
            ("9112 6.3.5 repeated length", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "502 malformed_response"),
            (
                "9112 8 incomplete",
                r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na",
                r#"200 OK; Content-Length: 2; known 2 | "a" | cut off: upstream_reset"#,
            ),
            ("9112 8 incomplete head", r"HTTP/1.1 200 OK\r\nConte", "cut off: upstream_reset"),
            ("9112 8 nothing", r"", "cut off: upstream_reset"),
            ("9112 7.1 bad chunk", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", "200 OK; unknown | 502 malformed_response"),
            ("9110 15.3.5 204", r"HTTP/1.1 204 No Content\r\nX: a\r\n\r\n", "204 No Content; X: a . | closed"),
            ("9110 15.4.5 304 keeps its length", r"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", "304 X; Content-Length: 5 . | closed"),
            (
                "9110 15.2 interim",
                r"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
                "info 100 C | info 103 E; Link: a | 204 N . | closed",
            ),
            ("9110 15.2.2 an upgrade nobody asked for", r"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", "502 malformed_response"),
            ("9110 8.6 interim with a length", r"HTTP/1.1 100 C\r\nContent-Length: 1\r\n\r\n", "502 malformed_response"),
            ("9112 6.1 interim with a coding", r"HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n", "502 malformed_response"),
            (
                "9110 7.6.1 hop by hop",
                r"HTTP/1.1 204 N\r\nKeep-Alive: 5\r\nConnection: X-B\r\nX-B: 1\r\nUpgrade: h2\r\n\r\n",
                "204 N . | closed",
            ),
        ],
    );
    check(
        || client("HEAD"),
        &[
            ("9110 9.3.2", r"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK; Content-Length: 5 . | closed"),
            ("9110 9.3.2 chunked", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK . | closed"),
            ("9110 9.3.2 no framing", r"HTTP/1.1 200 OK\r\n\r\n", "200 OK . | closed"),
            ("9112 6.3.3 both", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "502 malformed_response"),
        ],
    );
}

#[test]
fn reuse_of_an_upstream_connection() {
    for (what, method, response, reused) in [
        ("known", "GET", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", true),
        ("chunked", "GET", r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
        ("no content", "GET", r"HTTP/1.1 304 N\r\n\r\n", true),
        ("HEAD", "HEAD", r"HTTP/1.1 200 OK\r\n\r\n", true),
        ("close", "GET", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", false),
        ("1.0", "GET", r"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", false),
        ("1.0 keep-alive", "GET", r"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", true),
        ("not complete", "GET", r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false),
        ("until close", "GET", r"HTTP/1.1 200 OK\r\n\r\na", false),
        ("more than the response", "GET", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", false),
        ("content where there is none", "HEAD", r"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false),
        ("a 204 with a length", "GET", r"HTTP/1.1 204 N\r\nContent-Length: 1\r\n\r\n", false),
        ("a 204 of no length", "GET", r"HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n", true),
        ("a chunked 204", "GET", r"HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n", false),
    ] {
        let mut connection = client(method);
        let mut input = buf::Chunk::copy_of(&bytes(response));
        while connection.receive(&mut input).unwrap().is_some() {}
        assert_eq!(connection.can_reuse(), reused, "{what}");
    }
}

#[test]
fn content_until_close_is_the_last() {
    let mut connection = client("GET");
    let mut input = buf::Chunk::from("HTTP/1.1 200 OK\r\n\r\na");
    while connection.receive(&mut input).unwrap().is_some() {}
    assert!(connection.must_close());
}

#[test]
fn bytes_that_answer_nothing() {
    let mut connection = Connection::client(h1::Settings::default());
    let mut input = buf::Chunk::from("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.receive(&mut input), Ok(None));
    assert!(!connection.can_reuse() && connection.must_close());
}
