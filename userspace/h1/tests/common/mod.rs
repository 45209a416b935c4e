//! What the tests share: a small text for bytes and for what a codec makes of them, so that tables can be read.
#![expect(dead_code, reason = "no test uses all of it")]
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "a test helper may fail, and need not be quick")]

pub(crate) mod corpus;

use buf::{Chunk, Output};
use h1::{Connection, Settings};
use model::{Body, Head, Part, Start};

/// The text of bytes: as they are, but `\r`, `\n`, `\t`, `\\` and `\xHH` escaped.
pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

/// The bytes of a text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut chars) = (Vec::new(), text.chars());
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend(char.to_string().into_bytes());
            continue;
        }
        match chars.next().unwrap() {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => bytes.push(u8::from_str_radix(&chars.by_ref().take(2).collect::<String>(), 16).unwrap()),
            other => panic!("\\{other} in {text:?}"),
        }
    }
    bytes
}

/// Everything that waits in `output`.
pub(crate) fn drain(output: &mut Output) -> Vec<u8> {
    output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect()
}

/// A head as one line: `GET http a /path; Host: a; X: 1; known 3`.
pub(crate) fn show_head(head: &Head) -> String {
    let mut text = match &head.start {
        Start::Request(line) => {
            format!("{} {} {} {}", line.method, line.scheme.as_str(), show(&line.authority), show(&line.path))
        }
        Start::Response(line) if line.reason.is_empty() => format!("{}", line.status),
        Start::Response(line) => format!("{} {}", line.status, show(&line.reason)),
    };
    for field in head.fields.iter() {
        text += &format!("; {}: {}", show(field.name), show(field.value));
    }
    match head.body {
        Body::None => {}
        Body::Known(length) => text += &format!("; known {length}"),
        Body::Unknown => text += "; unknown",
    }
    text + if head.end { " ." } else { "" }
}

/// What a codec made of its input, Data put together: `GET http a /; Host: a; known 3 | "abc" | end`.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) steps: Vec<String>,
    data: Vec<u8>,
}

impl Story {
    pub(crate) fn part(&mut self, part: &Part) {
        if let Part::Data(data) = part {
            assert!(!data.is_empty(), "Data is never empty");
            self.data.extend_from_slice(data);
            return;
        }
        match part {
            Part::Info(head) => self.step(format!("info {}", show_head(head))),
            Part::Head(head) => self.step(show_head(head)),
            Part::Trailers(fields) => {
                let fields: Vec<_> = fields.iter().map(|field| format!("{}: {}", show(field.name), show(field.value))).collect();
                self.step(format!("trailers {}", fields.join("; ")));
            }
            Part::End => self.step("end".into()),
            Part::Data(_) => {}
        }
    }

    pub(crate) fn step(&mut self, step: String) {
        if !self.data.is_empty() {
            self.steps.push(format!("\"{}\"", show(&core::mem::take(&mut self.data))));
        }
        self.steps.push(step);
    }

    pub(crate) fn told(mut self) -> String {
        if !self.data.is_empty() {
            self.step("...".into());
        }
        self.steps.join(" | ")
    }
}

/// The story of bytes that come in these pieces. A server answers each request with an empty 200 once it is complete; the
/// connection is closed by the peer at the end if `eof`.
pub(crate) fn story(mut connection: Connection, pieces: &[&[u8]], eof: bool) -> String {
    let (mut story, mut output) = (Story::default(), Output::default());
    for piece in pieces {
        let mut input = Chunk::copy_of(piece);
        loop {
            let before = input.len();
            match connection.receive(&mut input) {
                Ok(Some(part)) => {
                    story.part(&part);
                    if connection.is_waiting() {
                        answer(&mut connection, &mut output);
                    }
                }
                Ok(None) => {
                    assert!(input.is_empty() || connection.must_close(), "it takes everything or says why not");
                    assert!(input.len() <= before);
                    break;
                }
                Err(fault) => {
                    story.step(format!("{} {}", fault.cause.status(), fault.cause.reason()));
                    assert!(connection.must_close() && !connection.can_reuse());
                    assert_eq!(
                        connection.receive(&mut Chunk::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
                        Ok(None),
                        "nothing is read after a fault"
                    );
                    return story.told();
                }
            }
        }
    }
    if eof {
        match connection.eof() {
            Ok(Some(part)) => story.part(&part),
            Ok(None) => story.step("closed".into()),
            Err(fault) => story.step(format!("cut off: {}", fault.cause.reason())),
        }
    }
    story.told()
}

/// Answers the present request with an empty 200.
pub(crate) fn answer(connection: &mut Connection, output: &mut Output) {
    let mut head = Head::response(200, Body::Known(0));
    head.end = true;
    connection.send_head(&head, output).unwrap();
    assert!(connection.sending_done());
}

/// A server that has its first request to read.
pub(crate) fn server() -> Connection {
    Connection::server(Settings::default())
}

/// A client that has asked with this method.
pub(crate) fn client(method: &str) -> Connection {
    let mut connection = Connection::client(Settings::default());
    let mut input = Chunk::from(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_str());
    let request = server().receive(&mut input).unwrap().unwrap();
    connection.send(request, &mut Output::default()).unwrap();
    connection
}
