//! Commands: Parts become bytes. Length, Host, Connection and chunk framing are written from what the Parts say, never copied from
//! another message; a Part that does not fit what was announced is refused, and the connection with it.

use alloc::vec::Vec;

use buf::{Chunk, Output};
use model::{Body, Cause, Fault, Field, Fields, Head, Method, Name, Part, RequestLine, Scope, Start, StatusLine, reason_phrase};

use crate::{
    Connection,
    connection::{Asks, Receiving, Sending, Side, Version},
    fields::WEBSOCKET,
    framing::has_no_content,
};

/// What became of a Part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It stands in the output.
    Written,
    /// The message has no place for it: trailers without chunks, content of a response to HEAD, interim responses for HTTP/1.0.
    Dropped,
}

/// How the length of a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// Not at all.
    Omitted,
    /// As the fields have it: it says what a GET would have brought.
    AsIs,
    Bytes(u64),
    Chunked,
    /// Not at all: the end of the connection is the end of the message.
    UntilClose,
}

impl Connection {
    /// Appends one Part to `output`. A fault means that the Parts contradict each other: the message cannot be completed and the
    /// connection must be closed.
    pub fn send(&mut self, part: Part, output: &mut Output) -> Result<Sent, Fault> {
        match part {
            Part::Info(head) => self.send_info(&head, output),
            Part::Head(head) => self.send_head(&head, output),
            Part::Data(data) => self.send_data(data, output),
            Part::Trailers(fields) => self.send_trailers(&fields, output),
            Part::End => self.send_end(output),
        }
    }

    /// Appends a request's or final response's head, which the caller keeps (to try another endpoint with it). A connection that cannot
    /// take another request says so with a fault that allows to retry.
    pub fn send_head(&mut self, head: &Head, output: &mut Output) -> Result<Sent, Fault> {
        if !is_clean(head) {
            return Err(self.broken());
        }
        match (&head.start, self.side) {
            (Start::Request(line), Side::Client) => self.send_request(head, line, output),
            (Start::Response(line), Side::Server) if self.exchange.asks == Asks::Connect && (200..300).contains(&line.status) => {
                self.send_connected(head, line, output)
            }
            (Start::Response(line), Side::Server) if line.status == 101 => self.send_switch(head, line, output),
            (Start::Response(line), Side::Server) if line.status >= 200 => self.send_response(head, line, output),
            _ => Err(self.broken()),
        }
    }

    /// Appends an interim response (1xx).
    pub fn send_info(&mut self, head: &Head, output: &mut Output) -> Result<Sent, Fault> {
        let Start::Response(line) = &head.start else { return Err(self.broken()) };
        let fits = matches!(line.status, 100 | 102..=199) && self.sending == Sending::Head && self.side == Side::Server;
        if !fits || !is_clean(head) {
            return Err(self.broken());
        }
        if self.exchange.version == Version::Http10 {
            return Ok(Sent::Dropped); // RFC 9110 §15.2
        }
        if line.status == 100 {
            self.exchange.expects_continue = false;
        }
        let tail = output.tail();
        write_status_line(tail, line);
        for field in head.fields.iter() {
            if field.known != Name::ContentLength && !is_ours(field.known) {
                write_field(tail, field);
            }
        }
        tail.extend_from_slice(b"\r\n");
        Ok(Sent::Written)
    }

    /// Appends some content. Chunks that are large go as they are.
    pub fn send_data(&mut self, data: Chunk, output: &mut Output) -> Result<Sent, Fault> {
        let length = data.len() as u64;
        match self.sending {
            Sending::Known(left) if length <= left => self.sending = Sending::Known(left - length),
            Sending::Chunked if length == 0 => return Ok(Sent::Written), // an empty chunk would be the end
            Sending::Chunked => {
                write_number::<16>(output.tail(), length);
                output.tail().extend_from_slice(b"\r\n");
                output.push(data);
                output.tail().extend_from_slice(b"\r\n");
                return Ok(Sent::Written);
            }
            Sending::UntilClose => {}
            Sending::Nothing => return Ok(Sent::Dropped),
            Sending::Known(_) | Sending::Head | Sending::Held | Sending::Done | Sending::Failed => return Err(self.broken()),
        }
        output.push(data);
        Ok(Sent::Written)
    }

    /// Appends the trailers, if the message is chunked.
    pub fn send_trailers(&mut self, fields: &Fields, output: &mut Output) -> Result<Sent, Fault> {
        match self.sending {
            Sending::Chunked => {}
            Sending::Known(0) | Sending::UntilClose | Sending::Nothing => return Ok(Sent::Dropped),
            Sending::Known(_) | Sending::Head | Sending::Held | Sending::Done | Sending::Failed => return Err(self.broken()),
        }
        if !is_line_clean(fields.added_bytes()) {
            return Err(self.broken());
        }
        let tail = output.tail();
        tail.extend_from_slice(b"0\r\n");
        for field in fields.iter() {
            if !is_ours(field.known) && !matches!(field.known, Name::ContentLength | Name::Host | Name::Te | Name::Trailer) {
                write_field(tail, field);
            }
        }
        tail.extend_from_slice(b"\r\n");
        self.sending = Sending::Known(0); // only the End is still to come
        Ok(Sent::Written)
    }

    /// Completes the message.
    pub fn send_end(&mut self, output: &mut Output) -> Result<Sent, Fault> {
        match self.sending {
            Sending::Chunked => output.write(b"0\r\n\r\n"),
            Sending::Known(0) | Sending::UntilClose | Sending::Nothing => {}
            Sending::Known(_) | Sending::Head | Sending::Held | Sending::Done | Sending::Failed => return Err(self.broken()),
        }
        self.sending = Sending::Done;
        Ok(Sent::Written)
    }

    fn send_request(&mut self, head: &Head, line: &RequestLine, output: &mut Output) -> Result<Sent, Fault> {
        if self.can_reuse() {
            self.begin_exchange();
        } else if (self.receiving, self.sending) != (Receiving::Head, Sending::Head) {
            return Err(Fault::origin(Cause::UpstreamReset).safe());
        }
        let length = match head.body {
            Body::None => Length::Omitted,
            Body::Unknown if head.end => Length::Bytes(0),
            Body::Known(length) if length == 0 || !head.end => Length::Bytes(length),
            Body::Unknown => Length::Chunked,
            Body::Known(_) => return Err(self.broken()),
        };
        if line.method == Method::Connect {
            return Err(self.broken());
        }
        let upgrade = !line.protocol.is_empty();
        if upgrade && (line.method != Method::Get || !line.protocol.eq_ignore_ascii_case(WEBSOCKET) || head.end) {
            return Err(self.broken());
        }
        let length = if upgrade { Length::Omitted } else { length };
        self.exchange.asks = Asks::of(&head.start);
        self.exchange.expects_continue = false;
        let tail = output.tail();
        tail.reserve(head.fields.wire_bytes_max() + line.path.len() + line.authority.len() + ROOM);
        write_request_line(tail, line);
        self.write_fields(tail, head, Some(&line.authority), length);
        self.content_announced(head, length);
        if upgrade {
            self.sending = Sending::Held;
        }
        Ok(Sent::Written)
    }

    /// The answer that lets the connection speak something else (RFC 9110 §15.2.2).
    fn send_switch(&mut self, head: &Head, line: &StatusLine, output: &mut Output) -> Result<Sent, Fault> {
        if self.sending != Sending::Head || self.exchange.asks != Asks::Upgrade {
            return Err(self.broken());
        }
        let tail = output.tail();
        write_status_line(tail, line);
        self.write_fields(tail, head, None, Length::Omitted);
        self.switched();
        Ok(Sent::Written)
    }

    /// The answer to CONNECT that opens the tunnel: it has no content and says nothing of any (RFC 9110 §9.3.6).
    fn send_connected(&mut self, head: &Head, line: &StatusLine, output: &mut Output) -> Result<Sent, Fault> {
        if self.sending != Sending::Head {
            return Err(self.broken());
        }
        let tail = output.tail();
        write_status_line(tail, line);
        self.write_fields(tail, head, None, Length::Omitted);
        self.switched();
        if head.end { self.send_end(output) } else { Ok(Sent::Written) }
    }

    fn send_response(&mut self, head: &Head, line: &StatusLine, output: &mut Output) -> Result<Sent, Fault> {
        if self.sending != Sending::Head {
            return Err(self.broken());
        }
        if self.receiving == Receiving::Head {
            // Answered before it was asked (a timeout): whatever comes now belongs to no request that could still be read.
            self.receiving = Receiving::Failed;
            self.gather = None;
            self.persistent = false;
        }
        if self.receiving == Receiving::Held {
            // The upgrade is declined. What follows a declined CONNECT is a request or meant for the tunnel: nobody can tell.
            self.receiving = Receiving::Done;
            self.persistent &= self.exchange.asks != Asks::Connect;
            self.exchange.asks = Asks::Response;
        }
        let bodiless = self.exchange.is_head_only() || has_no_content(line.status);
        let length = match head.body {
            _ if line.status == 204 => Length::Omitted, // RFC 9110 §8.6
            Body::Known(length) if bodiless || length == 0 || !head.end => Length::Bytes(length),
            Body::Known(_) => return Err(self.broken()),
            Body::None if bodiless => Length::AsIs,
            Body::Unknown if bodiless => Length::Omitted,
            Body::None => Length::Bytes(0),
            Body::Unknown if head.end => Length::Bytes(0),
            Body::Unknown if self.exchange.version == Version::Http10 => Length::UntilClose,
            Body::Unknown => Length::Chunked,
        };
        self.persistent &= length != Length::UntilClose;
        self.exchange.expects_continue = false;
        let tail = output.tail();
        tail.reserve(head.fields.wire_bytes_max() + line.reason.len() + ROOM);
        write_status_line(tail, line);
        self.write_fields(tail, head, None, length);
        self.content_announced(head, if bodiless { Length::Omitted } else { length });
        Ok(Sent::Written)
    }

    /// All fields in their order, each of ours in the place it had, else at the end; then the empty line.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a name that is not this hop's business is passed on")]
    fn write_fields(&self, tail: &mut Vec<u8>, head: &Head, authority: Option<&[u8]>, length: Length) {
        let (mut host, mut measure, mut trailers) = (authority, Some(length), false);
        if authority.is_some() && head.fields.get(Name::Host).is_none() {
            write_host(tail, b"host", host.take());
        }
        for field in head.fields.iter() {
            match field.known {
                Name::Other => write_field(tail, field),
                Name::Host if authority.is_some() => write_host(tail, field.name, host.take()),
                Name::ContentLength if length == Length::AsIs => write_field(tail, field),
                Name::ContentLength => write_length(tail, field.name, measure.take()),
                Name::Te => trailers = authority.is_some(),
                known if is_ours(known) => {}
                _ => write_field(tail, field),
            }
        }
        write_length(tail, b"content-length", measure);
        if trailers {
            tail.extend_from_slice(b"te: trailers\r\n");
        }
        if self.exchange.asks == Asks::Upgrade {
            tail.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
            return;
        }
        tail.extend_from_slice(match (self.persistent, trailers) {
            (false, false) => b"connection: close\r\n\r\n",
            (false, true) => b"connection: close, te\r\n\r\n",
            (true, true) => b"connection: te\r\n\r\n",
            (true, false) if self.side == Side::Server && self.exchange.version == Version::Http10 => b"connection: keep-alive\r\n\r\n",
            (true, false) => b"\r\n",
        });
    }

    fn content_announced(&mut self, head: &Head, length: Length) {
        self.sending = match length {
            _ if head.end => Sending::Done,
            Length::Bytes(length) => Sending::Known(length),
            Length::Chunked => Sending::Chunked,
            Length::UntilClose => Sending::UntilClose,
            Length::Omitted | Length::AsIs => Sending::Nothing,
        };
    }

    /// What was asked of us cannot be written without lying to the peer.
    fn broken(&mut self) -> Fault {
        self.sending = Sending::Failed;
        self.persistent = false;
        Fault { scope: Scope::Connection, ..Fault::us(Cause::Internal) }
    }
}

/// What a head needs beside its fields and texts.
const ROOM: usize = 96;

/// Whether the codec alone decides about that field.
fn is_ours(name: Name) -> bool {
    matches!(name, Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade)
}

/// Whether nothing that others put into the head could end a line or a word of the start line. Parsed fields were checked when parsed.
fn is_clean(head: &Head) -> bool {
    let start = match &head.start {
        Start::Request(line) => !line.path.is_empty() && is_word(&line.path) && is_word(&line.authority) && is_word(line.method.as_bytes()),
        Start::Response(line) => is_line_clean(&line.reason) && (100..=599).contains(&line.status),
    };
    start && is_line_clean(head.fields.added_bytes())
}

fn is_line_clean(bytes: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', b'\0', bytes).is_none()
}

fn is_word(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte > b' ')
}

fn write_request_line(tail: &mut Vec<u8>, line: &RequestLine) {
    tail.extend_from_slice(line.method.as_bytes());
    tail.push(b' ');
    tail.extend_from_slice(&line.path);
    tail.extend_from_slice(b" HTTP/1.1\r\n");
}

fn write_status_line(tail: &mut Vec<u8>, line: &StatusLine) {
    tail.extend_from_slice(b"HTTP/1.1 ");
    write_number::<10>(tail, u64::from(line.status));
    tail.push(b' ');
    // HTTP/2 has none (RFC 9113 §8.3.2), and not every client of HTTP/1 takes the line without one.
    let reason = if line.reason.is_empty() { reason_phrase(line.status).as_bytes() } else { &line.reason };
    tail.extend_from_slice(reason);
    tail.extend_from_slice(b"\r\n");
}

fn write_field(tail: &mut Vec<u8>, field: Field<'_>) {
    tail.extend_from_slice(field.name);
    tail.extend_from_slice(b": ");
    tail.extend_from_slice(field.value);
    tail.extend_from_slice(b"\r\n");
}

fn write_host(tail: &mut Vec<u8>, name: &[u8], authority: Option<&[u8]>) {
    let Some(value) = authority else { return };
    write_field(tail, Field { known: Name::Host, name, value });
}

fn write_length(tail: &mut Vec<u8>, name: &[u8], length: Option<Length>) {
    match length {
        Some(Length::Bytes(length)) => {
            tail.extend_from_slice(name);
            tail.extend_from_slice(b": ");
            write_number::<10>(tail, length);
            tail.extend_from_slice(b"\r\n");
        }
        Some(Length::Chunked) => tail.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Some(Length::Omitted | Length::AsIs | Length::UntilClose) | None => {}
    }
}

fn write_number<const BASE: u64>(tail: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % BASE).unwrap_or_default();
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        start -= 1;
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    tail.extend_from_slice(digits.get(start..).unwrap_or_default());
}
