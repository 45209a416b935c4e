//! Laws that hold for all bytes and all messages: how the input is split means nothing; what is encoded is decoded again; two codecs back
//! to back come to rest; a connection at rest survives freezing.

#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "a test may fail, and need not be quick")]

mod common;

use buf::{Chunk, Output};
use common::{answer, client, drain, server, story};
use h1::{Connection, Frozen, Settings};
use model::{Body, Head, Part};
use proptest::{collection::vec, prelude::*, sample::select};

/// One message's texts. All of it is what a peer may send.
#[derive(Clone, Debug)]
struct Message {
    fields: Vec<(String, String)>,
    content: Content,
    trailers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
enum Content {
    None,
    Known(String),
    Chunked(Vec<String>),
}

fn field() -> impl Strategy<Value = (String, String)> {
    // A letter in front keeps clear of the names the codec has an opinion on.
    ("[zZ][a-zA-Z0-9!#$%&'*+.^_`|~-]{0,20}", "([!-~]([ -~\t]{0,30}[!-~])?)?")
}

fn message() -> impl Strategy<Value = Message> {
    let content = prop_oneof![
        Just(Content::None),
        "[ -~\r\n]{0,200}".prop_map(Content::Known),
        vec("[ -~\r\n]{1,80}", 0..5).prop_map(Content::Chunked),
    ];
    (vec(field(), 0..12), content, vec(field(), 0..3)).prop_map(|(fields, content, trailers)| Message { fields, content, trailers })
}

fn requests() -> impl Strategy<Value = Vec<(&'static str, String, Message)>> {
    let methods = select(vec!["GET", "HEAD", "POST", "OPTIONS", "PUT", "PURGE"]);
    vec((methods, "/[!-\"$-~]{0,30}", message()), 1..5)
}

fn wire(start: &str, message: &Message) -> Vec<u8> {
    let mut text = format!("{start}\r\n");
    for (name, value) in &message.fields {
        text += &format!("{name}: {value}\r\n");
    }
    match &message.content {
        Content::None => text += "\r\n",
        Content::Known(content) => text += &format!("Content-Length: {}\r\n\r\n{content}", content.len()),
        Content::Chunked(chunks) => {
            text += "Transfer-Encoding: chunked\r\n\r\n";
            for chunk in chunks {
                text += &format!("{:X};x=\"y\"\r\n{chunk}\r\n", chunk.len());
            }
            text += "0\r\n";
            for (name, value) in &message.trailers {
                text += &format!("{name}: {value}\r\n");
            }
            text += "\r\n";
        }
    }
    text.into_bytes()
}

fn pipelined(requests: &[(&str, String, Message)]) -> Vec<u8> {
    requests.iter().flat_map(|(method, path, message)| wire(&format!("{method} {path} HTTP/1.1\r\nHost: a"), message)).collect()
}

/// Cuts `bytes` at the given places (in any order, as often as they fall inside).
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for place in places.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces
}

/// All Parts of what is in `input`, Data put together.
fn parts(connection: &mut Connection, input: &[u8]) -> Vec<Part> {
    let mut input = Chunk::copy_of(input);
    let mut parts = Vec::new();
    while let Some(part) = connection.receive(&mut input).unwrap() {
        match (parts.last_mut(), part) {
            (Some(Part::Data(before)), Part::Data(data)) => *before = Chunk::from([&before[..], &data[..]].concat()),
            (_, part) => parts.push(part),
        }
    }
    parts
}

fn send(connection: &mut Connection, parts: &[Part]) -> Vec<u8> {
    let mut output = Output::default();
    for part in parts {
        connection.send(part.clone(), &mut output).unwrap();
    }
    drain(&mut output)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_split_means_nothing_to_a_server(requests in requests(), places in vec(any::<prop::sample::Index>(), 0..12)) {
        let bytes = pipelined(&requests);
        let whole = story(server(), &[&bytes], true);
        prop_assert!(whole.ends_with("closed"), "{whole}");
        prop_assert_eq!(&story(server(), &cut(&bytes, &places), true), &whole);
        prop_assert_eq!(&story(server(), &bytes.chunks(1).collect::<Vec<_>>(), true), &whole);
    }

    #[test]
    fn a_split_means_nothing_to_a_client(message in message(), interim in any::<bool>(), places in vec(any::<prop::sample::Index>(), 0..12)) {
        let interim = if interim { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" } else { "" };
        let bytes = [interim.as_bytes(), &wire("HTTP/1.1 200 OK", &message)].concat();
        let whole = story(client("GET"), &[&bytes], true);
        prop_assert!(whole.ends_with("closed") || whole.ends_with("end"), "{whole}");
        prop_assert_eq!(&story(client("GET"), &cut(&bytes, &places), true), &whole);
        prop_assert_eq!(&story(client("GET"), &bytes.chunks(1).collect::<Vec<_>>(), true), &whole);
    }

    #[test]
    fn a_split_means_nothing_in_garbage(bytes in vec(select(b"GET /HTP1.0:chunkedl-3a;\r\n \t\0".to_vec()), 0..120), places in vec(any::<prop::sample::Index>(), 0..6)) {
        let start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for bytes in [bytes.clone(), [&start[..], &bytes].concat()] {
            prop_assert_eq!(story(server(), &cut(&bytes, &places), true), story(server(), &[&bytes], true));
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again(requests in requests()) {
        for (method, path, message) in &requests {
            let request = parts(&mut server(), &wire(&format!("{method} {path} HTTP/1.1\r\nHost: a"), message));
            let bytes = send(&mut Connection::client(Settings::default()), &request);
            prop_assert_eq!(parts(&mut server(), &bytes), request);
            let response = parts(&mut client(method), &wire("HTTP/1.1 200 OK", message));
            let mut down = server();
            parts(&mut down, format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let complete = response.last().is_some_and(Part::is_end);
            let bytes = send(&mut down, &response);
            prop_assert_eq!(complete, down.can_reuse());
            if complete {
                prop_assert_eq!(parts(&mut client(method), &bytes), response);
            }
        }
    }

    #[test]
    fn two_codecs_come_to_rest(requests in requests(), responses in vec(message(), 5..6), step in 1_usize..200) {
        let (mut up, mut down) = (Connection::client(Settings::default()), server());
        for ((method, path, message), response) in requests.iter().zip(&responses) {
            let request = parts(&mut server(), &wire(&format!("{method} {path} HTTP/1.1\r\nHost: a"), message));
            let response = match response.content {
                Content::None => vec![Part::Head(Head::response(204, Body::None))],
                Content::Known(_) | Content::Chunked(_) => parts(&mut client(method), &wire("HTTP/1.1 200 OK", response)),
            };
            let (mut got_request, mut got_response) = (Vec::new(), Vec::new());
            for piece in send(&mut up, &request).chunks(step) {
                got_request.extend(parts(&mut down, piece));
            }
            prop_assert!(down.receiving_done() && up.sending_done() && !up.at_rest());
            for piece in send(&mut down, &response).chunks(step) {
                got_response.extend(parts(&mut up, piece));
            }
            prop_assert_eq!(&got_request[0], &request[0]);
            prop_assert_eq!(&got_response[0], &response[0]);
            prop_assert!(up.can_reuse() && down.can_reuse(), "{up:?} {down:?}");
        }
    }
}

#[test]
fn every_split_in_two_means_nothing() {
    let bytes = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nX: b\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n\
        GET http://b HTTP/1.1\r\nHost: a\r\n\r\nPUT / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab";
    let whole = story(server(), &[bytes], true);
    assert_eq!(whole.matches(" http ").count(), 3, "{whole}");
    for at in 0..bytes.len() {
        assert_eq!(story(server(), &[&bytes[..at], &bytes[at..]], true), whole, "at {at}");
    }
}

#[test]
fn freezing_at_rest_loses_nothing() {
    let mut connection = server();
    for round in 0..3 {
        let thawed = Connection::thaw(connection.freeze().unwrap(), Settings::default());
        assert_eq!((thawed.at_rest(), thawed.can_reuse()), (true, true));
        connection = thawed;
        assert_eq!(parts(&mut connection, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").len(), 1, "round {round}");
        assert!(connection.freeze().is_none(), "an exchange is under way");
        answer(&mut connection, &mut Output::default());
    }
    let frozen = client("GET").freeze();
    assert!(frozen.is_none());
    let frozen = Connection::client(Settings::default()).freeze().unwrap();
    assert_eq!(Frozen::from_bytes(frozen.to_bytes()), Some(frozen));
    assert_eq!(Frozen::from_bytes([0, 0]), None);
    assert_eq!(Frozen::from_bytes([1, 7]), None);
}

#[test]
fn what_is_not_at_rest_does_not_freeze() {
    let mut in_head = server();
    in_head.receive(&mut Chunk::from("GET")).unwrap();
    assert!(in_head.in_head() && in_head.freeze().is_none());
    let mut last = server();
    parts(&mut last, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answer(&mut last, &mut Output::default());
    assert!(last.at_rest() && last.freeze().is_none());
    let mut closed = server();
    closed.eof().unwrap();
    assert!(closed.freeze().is_none());
}
