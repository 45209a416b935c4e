//! What the tests share: a small language for frames, and a text for what a codec makes of them, so that tables can be read.
//!
//! Frames are separated by `;`: `get 1`, `post 1`, `headers 1 es eh :method=GET x=y`, `cont 1 eh x=y`, `data 1 es hello`, `rst 1 8`,
//! `settings 4=10`, `settings ack`, `ping 8bytes!!`, `goaway 7 0`, `window 1 100`, `priority 1 3`, `raw TYPE FLAGS STREAM HEX`. What has no
//! `=` in a field list is the block itself, in hexadecimal; `pad` pads with three bytes; `_` in a value is a space.
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "a test helper may fail, and need not be quick")]

use buf::{Chunk, Output};
use h2::{Connection, ErrorCode, Event, Settings};
use model::{Body, Head, Instant, Method, Part, RequestLine, Scheme, Start, StreamId, Text};
use std::rc::Rc;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const NOW: Instant = Instant(0);

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

fn literal(text: &str, out: &mut Vec<u8>) {
    let text = text.replace('_', " ");
    assert!(text.len() < 127 + 128, "two bytes of length at most");
    if text.len() < 127 {
        out.push(u8::try_from(text.len()).unwrap());
    } else {
        out.extend([127, u8::try_from(text.len() - 127).unwrap()]);
    }
    out.extend(text.bytes());
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A block of literals that enter no table.
pub(crate) fn block(fields: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let Some(split) = field[1..].find('=').map(|at| at + 1) else {
            out.extend(hex(field));
            continue;
        };
        out.push(0);
        literal(&field[..split], &mut out);
        literal(&field[split + 1..], &mut out);
    }
    out
}

fn one(text: &str) -> Vec<u8> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let Some((verb, _)) = words.split_first() else { return Vec::new() };
    let verb = *verb;
    words.remove(0);
    if verb == "ping" || verb == "settings" {
        words.insert(0, "0");
    }
    if verb == "raw" {
        let number = |at: usize| words[at].parse::<u32>().unwrap();
        return frame(u8::try_from(number(0)).unwrap(), u8::try_from(number(1)).unwrap(), number(2), &hex(&words[3..].concat()));
    }
    let stream: u32 = words.remove(0).parse().unwrap();
    let mut flags = 0;
    for (name, flag) in [("es", 1), ("ack", 1), ("eh", 4), ("pad", 8), ("prio", 0x20)] {
        if let Some(at) = words.iter().position(|word| *word == name) {
            words.remove(at);
            flags |= flag;
        }
    }
    let number = |at: usize| words[at].parse::<u32>().unwrap().to_be_bytes();
    let request = [":method=GET", ":scheme=http", ":authority=a", ":path=/"];
    let (kind, mut payload) = match verb {
        "data" => (0, words.join(" ").into_bytes()),
        "headers" => (1, block(&words)),
        "get" => (1, block(&[&request[..], &words].concat())),
        "post" => (1, block(&[&[":method=POST"], &request[1..], &words].concat())),
        "priority" => (2, [&number(0)[..], &[15]].concat()),
        "rst" => (3, number(0).to_vec()),
        "settings" => {
            let entry = |word: &&str| {
                let (name, value) = word.split_once('=').unwrap();
                [&name.parse::<u16>().unwrap().to_be_bytes()[..], &value.parse::<u32>().unwrap().to_be_bytes()].concat()
            };
            (4, words.iter().flat_map(entry).collect())
        }
        "ping" => (6, words.join(" ").into_bytes()),
        "goaway" => {
            let stream = stream.to_be_bytes();
            return frame(7, 0, 0, &[&stream[..], &number(0)].concat());
        }
        "window" => (8, number(0).to_vec()),
        "cont" => (9, block(&words)),
        "update" => {
            return frame(16, 0, 0, &[&stream.to_be_bytes()[..], words.join(" ").as_bytes()].concat());
        }
        other => panic!("{other}"),
    };
    flags |= match verb {
        "get" => 5,
        "post" => 4,
        _ => 0,
    };
    if flags & 0x20 != 0 && kind == 1 {
        payload = [&[0, 0, 0, u8::try_from(stream).unwrap(), 1][..], &payload].concat();
    }
    if flags & 8 != 0 {
        payload = [&[3][..], &payload, &[0, 0, 0]].concat();
    }
    frame(kind, flags, stream, &payload)
}

/// The bytes of frames in the small language.
pub(crate) fn frames(text: &str) -> Vec<u8> {
    text.split(';').flat_map(|text| one(text.trim())).collect()
}

pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A head as one line.
pub(crate) fn show_head(head: &Head) -> String {
    let mut text = match &head.start {
        Start::Request(line) => {
            let protocol = if line.protocol.is_empty() { String::new() } else { format!(" {}", show(&line.protocol)) };
            format!("{} {} {} {}{protocol}", line.method, line.scheme.as_str(), show(&line.authority), show(&line.path))
        }
        Start::Response(line) => format!("{}", line.status),
    };
    for field in head.fields.iter() {
        text += &format!(" {}={}", show(field.name), show(field.value));
    }
    match head.body {
        Body::None => {}
        Body::Known(length) => text += &format!(" known {length}"),
        Body::Unknown => text += " unknown",
    }
    text + if head.end { " ." } else { "" }
}

/// What a codec made of its input, as `1 GET http a / . | 3 reset http2_protocol`, data of one stream put together.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) steps: Vec<String>,
    data: Option<(StreamId, Vec<u8>)>,
}

impl Story {
    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Part(id, Part::Data(data)) = event {
            assert!(!data.is_empty(), "Data is never empty");
            match &mut self.data {
                Some((before, bytes)) if before == id => bytes.extend_from_slice(data),
                _ => {
                    self.flush();
                    self.data = Some((*id, data.to_vec()));
                }
            }
            return;
        }
        self.step(match event {
            Event::Part(id, Part::Info(head)) => format!("{} info {}", id.0, show_head(head)),
            Event::Part(id, Part::Head(head)) => format!("{} {}", id.0, show_head(head)),
            Event::Part(id, Part::Trailers(fields)) => {
                let fields: Vec<_> = fields.iter().map(|field| format!("{}={}", show(field.name), show(field.value))).collect();
                format!("{} trailers {}", id.0, fields.join(" "))
            }
            Event::Part(id, Part::End) => format!("{} end", id.0),
            Event::Part(_, Part::Data(_)) => String::new(),
            Event::Refused(id, fault) => format!("{} refused {}", id.0, fault.cause.reason()),
            Event::Reset(id, fault) => format!("{} reset {} {:?}", id.0, fault.cause.reason(), fault.retry),
            Event::Rejected(id, fault) => format!("{} rejected {}", id.0, fault.cause.reason()),
            Event::Reached(limit) => format!("limit {limit:?}"),
            Event::Draining => "draining".into(),
        });
    }

    pub(crate) fn step(&mut self, step: String) {
        self.flush();
        self.steps.push(step);
    }

    fn flush(&mut self) {
        if let Some((id, bytes)) = self.data.take() {
            self.steps.push(format!("{} \"{}\"", id.0, show(&bytes)));
        }
    }

    pub(crate) fn told(mut self) -> String {
        self.flush();
        self.steps.join(" | ")
    }
}

/// Feeds bytes until they are used up; false after a fault.
pub(crate) fn feed(connection: &mut Connection, bytes: &[u8], story: &mut Story) -> bool {
    let mut input = Chunk::copy_of(bytes);
    loop {
        match connection.receive(&mut input, NOW) {
            Ok(Some(event)) => story.event(&event),
            Ok(None) => {
                assert!(input.is_empty(), "it takes everything");
                return !connection.has_failed();
            }
            Err(fault) => {
                assert!(connection.has_failed());
                story.step(format!("fault {}", fault.cause.reason()));
                return false;
            }
        }
    }
}

/// Everything that is to be transmitted.
pub(crate) fn transmitted(connection: &mut Connection) -> Vec<u8> {
    let mut output = Output::default();
    connection.transmit(&mut output, usize::MAX);
    output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect()
}

/// Frames as text, without their fields.
pub(crate) fn show_frames(mut bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (payload, after) = rest.split_at(length);
        bytes = after;
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let end = if head[4] & 1 != 0 { " ." } else { "" };
        shown.push(match head[3] {
            0 => format!("data {stream} \"{}\"{end}", if length > 40 { format!("{length}") } else { show(payload) }),
            1 => format!("headers {stream}{end}"),
            3 => format!("rst {stream} {:?}", ErrorCode::from_number(word(0))),
            4 if head[4] == 1 => "ack".into(),
            4 => "settings".into(),
            6 => format!("{} {}", if head[4] == 1 { "pong" } else { "ping" }, show(payload)),
            7 => format!("goaway {} {:?}", word(0), ErrorCode::from_number(word(4))),
            8 => format!("window {stream} {}", word(0)),
            9 => format!("cont {stream}"),
            other => format!("{other}?"),
        });
    }
    assert!(bytes.is_empty(), "whole frames only");
    shown.join(" ")
}

/// A server that was greeted, and has greeted.
pub(crate) fn server() -> Connection {
    server_with(Settings::default())
}

pub(crate) fn server_with(settings: Settings) -> Connection {
    let mut connection = Connection::server(Rc::new(settings));
    let mut story = Story::default();
    assert!(feed(&mut connection, &[PREFACE, &frames("settings; settings ack")].concat(), &mut story));
    transmitted(&mut connection);
    connection
}

/// A client that was greeted, and has greeted.
pub(crate) fn client() -> Connection {
    client_with(Settings::default())
}

pub(crate) fn client_with(settings: Settings) -> Connection {
    let mut connection = Connection::client(Rc::new(settings));
    let mut story = Story::default();
    assert!(feed(&mut connection, &frames("settings 8=1; settings ack"), &mut story));
    transmitted(&mut connection);
    connection
}

/// A request's head.
pub(crate) fn request(method: &str, path: &str, body: Body) -> Head {
    let line = RequestLine {
        method: Method::registered(method.as_bytes()).unwrap(),
        scheme: Scheme::Http,
        authority: Text::from("a"),
        path: Text::from(path),
        protocol: Text::default(),
    };
    Head { start: Start::Request(line), fields: model::Fields::default(), body, end: body == Body::None }
}

/// What a codec makes of bytes, and what it answers: `events => frames`.
pub(crate) fn story(mut connection: Connection, pieces: &[&[u8]]) -> String {
    let (mut story, mut answers) = (Story::default(), Vec::new());
    for piece in pieces {
        let alive = feed(&mut connection, piece, &mut story);
        answers.push(show_frames(&transmitted(&mut connection)));
        if !alive {
            break;
        }
    }
    answers.retain(|answer| !answer.is_empty());
    format!("{} => {}", story.told(), answers.join(" ")).trim().to_owned()
}
