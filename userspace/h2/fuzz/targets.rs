//! What must hold for any bytes at all: no panic; every call takes bytes, gives an event, or waits; the split means nothing; the events of
//! each stream make a message; what was received can be sent, and is read again as what it was; what is gone leaves nothing behind.

use buf::{Chunk, Output};
use h2::{Connection, ErrorCode, Event, Settings};
use model::{Body, Fields, Head, HeadLimits, Instant, Method, Part, RequestLine, Scheme, Start, StreamId, Text};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes of a client, behind its preface. The first byte says how the rest is split, and how the driver behaves.
pub(crate) fn server(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let greeted = || {
        let mut connection = Connection::server(settings());
        assert!(receive(&mut connection, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
        connection
    };
    let whole = run(greeted(), &[bytes], *mode);
    let split = usize::from(*mode >> 2).max(1);
    assert_eq!(whole.messages, run(greeted(), &bytes.chunks(split).collect::<Vec<_>>(), *mode).messages, "the split means nothing");
    whole.messages.values().filter(|message| message.last().is_some_and(Part::is_end)).for_each(|message| send_on(message));
}

/// Bytes of an origin that was asked for four things.
pub(crate) fn client(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let asked = || {
        let mut connection = Connection::client(settings());
        assert!(receive(&mut connection, b"\0\0\0\x04\0\0\0\0\0"));
        for method in [Method::Get, Method::Head, Method::Post, Method::Connect] {
            let post = method == Method::Post || method == Method::Connect;
            let path = Text::from(if method == Method::Connect { "" } else { "/" });
            let line = RequestLine { method, scheme: Scheme::Http, authority: Text::from("a:1"), path, protocol: Text::default() };
            let body = if post { Body::Unknown } else { Body::None };
            let head = Head { start: Start::Request(line), fields: Fields::default(), body, end: !post };
            assert!(connection.open(&head).is_ok());
        }
        connection
    };
    let whole = run(asked(), &[bytes], *mode);
    let split = usize::from(*mode >> 2).max(1);
    assert_eq!(whole.messages, run(asked(), &bytes.chunks(split).collect::<Vec<_>>(), *mode).messages, "the split means nothing");
}

/// Small, so that limits are met.
fn settings() -> Rc<Settings> {
    let limits = HeadLimits { head_bytes_max: 2000, target_bytes_max: 100, fields_max: 20 };
    Rc::new(Settings { limits, streams_max: 5, stream_window: 2000, decoder_table_bytes: 300, ..Settings::default() })
}

/// What came of some bytes: the messages by stream, interim responses left out, data put together.
struct Outcome {
    messages: BTreeMap<StreamId, Vec<Part>>,
}

/// `mode`: bit 0, each request is answered at once; bit 1, what came is consumed at once.
fn run(mut connection: Connection, pieces: &[&[u8]], mode: u8) -> Outcome {
    let mut outcome = Outcome { messages: BTreeMap::new() };
    'all: for piece in pieces {
        let mut input = Chunk::copy_of(piece);
        loop {
            let before = input.len();
            match connection.receive(&mut input, Instant(0)) {
                Ok(Some(event)) => {
                    assert!(input.len() <= before);
                    handle(&mut connection, &mut outcome, event, mode);
                }
                Ok(None) => break,
                Err(_) => {
                    assert!(connection.has_failed());
                    break 'all;
                }
            }
        }
        assert!(input.is_empty(), "it takes everything");
    }
    let known: Vec<StreamId> = outcome.messages.keys().copied().collect();
    for id in &known {
        connection.release(*id);
    }
    connection.transmit(&mut Output::default(), usize::MAX);
    let waiting = known.iter().filter(|id| connection.queued(**id) > 0).count();
    let unheard = connection.known_streams() - waiting;
    assert_eq!(unheard * usize::from(connection.is_server()), 0, "what was released and has nothing to send is gone");
    assert!(connection.heap_bytes() < 64 * 1024, "{}", connection.heap_bytes());
    outcome
}

fn handle(connection: &mut Connection, outcome: &mut Outcome, event: Event, mode: u8) {
    match event {
        Event::Part(id, part) => {
            let message = outcome.messages.entry(id).or_default();
            assert!(!message.last().is_some_and(Part::is_end), "nothing follows the end");
            if let Part::Data(data) = &part {
                assert!(!data.is_empty() && !message.is_empty(), "content follows a head");
                if mode & 2 != 0 {
                    connection.consumed(id, data.len());
                }
            }
            let asked = if let Part::Head(head) = &part { head.request().map(|line| !line.protocol.is_empty()) } else { None };
            match (message.last_mut(), part) {
                (_, Part::Info(_)) => {}
                (Some(Part::Data(before)), Part::Data(data)) => *before = Chunk::from([&before[..], &data[..]].concat()),
                (_, part) => message.push(part),
            }
            if let (Some(upgrade), true) = (asked, mode & 1 != 0) {
                answer(connection, id, if upgrade { 101 } else { 200 });
            }
        }
        Event::Refused(id, fault) => {
            assert!(fault.cause.status() >= 400, "it can be answered");
            assert!(outcome.messages.insert(id, Vec::new()).is_none(), "it is heard of for the first time");
            answer(connection, id, 400);
            connection.release(id);
        }
        Event::Reset(id, _) => {
            connection.release(id);
            outcome.messages.entry(id).or_default().retain(|part| !part.is_end() || matches!(part, Part::Head(_)));
        }
        Event::Rejected(..) | Event::Reached(_) | Event::Draining => {}
    }
}

fn answer(connection: &mut Connection, id: StreamId, status: u16) {
    let head = Head { end: false, ..Head::response(status, Body::Unknown) };
    for part in [Part::Head(head), Part::Data(Chunk::from("hello")), Part::End] {
        assert!(connection.send(id, part).is_ok());
    }
}

/// A whole request, sent to the next party by a codec of ours, is read there as what it was.
fn send_on(message: &[Part]) {
    let wide = || Rc::new(Settings { stream_window: 1 << 20, ..Settings::default() });
    let mut up = Connection::client(wide());
    assert!(receive(&mut up, b"\0\0\x0c\x04\0\0\0\0\0\0\x04\0\x10\0\0\0\x08\0\0\0\x01"));
    let Some((Part::Head(head), rest)) = message.split_first() else { panic!("a head comes first") };
    let id = up.open(head).unwrap_or_else(|fault| panic!("what was received can be sent: {fault:?}"));
    for part in rest {
        assert!(up.send(id, part.clone()).is_ok(), "{part:?}");
    }
    let mut output = Output::default();
    up.transmit(&mut output, usize::MAX);
    let bytes: Vec<u8> = output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect();
    let again = run(Connection::server(wide()), &[&bytes], 0);
    let plain = |parts: &[Part]| -> Vec<Part> {
        let mut parts = parts.to_vec();
        for part in &mut parts {
            if let Part::Head(head) = part {
                // Host is said by :authority, a length that frames nothing by nothing.
                head.fields.retain(|field| !matches!(field.name, b"host" | b"content-length"));
                if head.end {
                    head.body = Body::None;
                }
            }
        }
        parts
    };
    assert_eq!(again.messages.len(), 1, "one message stays one");
    assert_eq!(plain(&again.messages[&id]), plain(message));
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> bool {
    let mut input = Chunk::copy_of(bytes);
    while let Ok(event) = connection.receive(&mut input, Instant(0)) {
        if event.is_none() {
            connection.reset(StreamId(0), ErrorCode::Cancel); // no stream: nothing
            return true;
        }
    }
    false
}
