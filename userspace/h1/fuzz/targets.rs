//! What must hold for any bytes at all: no panic; every call takes bytes, gives a Part, or waits; the split means nothing; and what is
//! forwarded is read by the next party as exactly the message that was understood here.

use buf::{Chunk, Output};
use h1::{Connection, Settings};
use model::{Body, Cause, Head, Part};

/// Bytes of a client. The first byte says how the rest is split.
pub(crate) fn server(data: &[u8]) {
    let Some((split, bytes)) = data.split_first() else { return };
    let whole = run(Connection::server(Settings::default()), &[bytes]);
    let pieces = run(Connection::server(Settings::default()), &bytes.chunks(usize::from(*split).max(1)).collect::<Vec<_>>());
    assert_eq!(whole, pieces, "the split means nothing");
    for message in whole.messages.iter().filter(|message| message.last().is_some_and(Part::is_end) && has_authority(message)) {
        let mut output = Output::default();
        let mut onward = Connection::client(Settings::default());
        for part in message {
            assert!(onward.send(part.clone(), &mut output).is_ok(), "what was received can be sent");
        }
        assert!(onward.sending_done());
        let again = run(Connection::server(Settings::default()), &[&bytes_of(&mut output)]);
        assert_eq!(again.fault, None, "{message:?}");
        assert_eq!(again.messages.len(), 1, "one message stays one: {message:?}");
        assert_same(&again.messages[0], message);
    }
}

/// Bytes of an origin. The first byte says how the rest is split, and what was asked.
pub(crate) fn client(data: &[u8]) {
    let Some((split, bytes)) = data.split_first() else { return };
    let method = if split % 2 == 0 { "GET" } else { "HEAD" };
    let whole = run(asking(method), &[bytes]);
    let pieces = run(asking(method), &bytes.chunks(usize::from(*split / 2).max(1)).collect::<Vec<_>>());
    assert_eq!(whole, pieces, "the split means nothing");
    let Some(response) = whole.messages.first().filter(|message| message.last().is_some_and(Part::is_end)) else { return };
    let mut output = Output::default();
    let mut onward = asked(method);
    for part in response {
        assert!(onward.send(part.clone(), &mut output).is_ok(), "what was received can be sent");
    }
    assert!(onward.can_reuse(), "{response:?}");
    let again = run(asking(method), &[&bytes_of(&mut output)]);
    assert_eq!(again.fault, None, "{response:?}");
    assert_same(&again.messages[0], response);
}

/// Without one (HTTP/1.0) Host is sent empty, which we would not take from a client ourselves.
fn has_authority(message: &[Part]) -> bool {
    let Some(Part::Head(head)) = message.first() else { return false };
    head.request().is_some_and(|line| !line.authority.is_empty() || line.path.first() == Some(&b'*'))
}

/// What came of some bytes.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<Vec<Part>>,
    fault: Option<Cause>,
    reusable: bool,
}

fn run(mut connection: Connection, pieces: &[&[u8]]) -> Outcome {
    let mut messages = vec![Vec::new()];
    let mut fault = None;
    'all: for piece in pieces {
        let mut input = Chunk::copy_of(piece);
        loop {
            let before = input.len();
            match connection.receive(&mut input) {
                Ok(Some(part)) => {
                    assert!(input.len() < before || matches!(part, Part::End | Part::Head(_) | Part::Trailers(_)), "progress");
                    add(&mut messages, part);
                    if connection.is_waiting() {
                        let mut head = Head::response(200, Body::Known(0));
                        head.end = true;
                        assert!(connection.send_head(&head, &mut Output::default()).is_ok());
                        messages.push(Vec::new());
                    }
                }
                Ok(None) => {
                    assert!(input.is_empty() || connection.must_close(), "it takes everything or says why not");
                    break;
                }
                Err(cause) => {
                    fault = Some(cause.cause);
                    break 'all;
                }
            }
        }
    }
    messages.retain(|message| !message.is_empty());
    Outcome { messages, fault, reusable: connection.can_reuse() }
}

fn add(messages: &mut [Vec<Part>], part: Part) {
    let Some(message) = messages.last_mut() else { return };
    match (message.last_mut(), part) {
        (_, Part::Data(data)) if data.is_empty() => panic!("Data is never empty"),
        (Some(Part::Data(before)), Part::Data(data)) => *before = Chunk::from([&before[..], &data[..]].concat()),
        (_, part) => message.push(part),
    }
}

/// The same but for what a hop may change: the Host entry's value follows the target, an interim response is not the message.
fn assert_same(got: &[Part], sent: &[Part]) {
    let plain = |parts: &[Part]| -> Vec<Part> {
        let mut parts: Vec<Part> = parts.iter().filter(|part| !matches!(part, Part::Info(_))).cloned().collect();
        for part in &mut parts {
            if let Part::Head(head) = part {
                head.fields.remove(b"host");
                head.fields.remove(b"te");
                head.fields.remove(b"content-length");
                match &mut head.start {
                    model::Start::Request(line) => line.scheme = model::Scheme::Http,
                    // A phrase that is missing is written anew.
                    model::Start::Response(line) if line.reason.is_empty() => line.reason = model::reason_phrase(line.status).into(),
                    model::Start::Response(_) => {}
                }
            }
        }
        parts
    };
    assert_eq!(plain(got), plain(sent));
}

fn bytes_of(output: &mut Output) -> Vec<u8> {
    output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect()
}

/// A client that has asked with this method.
fn asking(method: &str) -> Connection {
    let mut connection = Connection::client(Settings::default());
    let mut input = Chunk::from(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_str());
    if let Ok(Some(request)) = Connection::server(Settings::default()).receive(&mut input) {
        assert!(connection.send(request, &mut Output::default()).is_ok());
    }
    connection
}

/// A server that owes the answer to this method.
fn asked(method: &str) -> Connection {
    let mut connection = Connection::server(Settings::default());
    let mut input = Chunk::from(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_str());
    assert!(matches!(connection.receive(&mut input), Ok(Some(_))));
    connection
}
