//! Heads and trailers to field lists: pseudo-header fields first, names in lower case, nothing that is meant for one connection
//! (RFC 9113 §8.2, §8.3). Length and authority are written from what the head says, never copied.
#![expect(clippy::needless_bitwise_bool, reason = "without branches many bytes are looked at by one instruction")]

use alloc::vec::Vec;

use model::{Body, Field, Fields, Head, Name, Start};

use crate::hpack::Encoder;

use super::grammar::has;

/// Names longer than this are put in lower case on the heap, in bytes.
const NAME_BYTES: usize = 64;

/// Whether nothing that others put into it could end a line somewhere behind the peer. Parsed fields were checked when parsed.
pub(crate) fn block_is_clean(head: &Head) -> bool {
    let word = |text: &[u8]| !has(text, |byte| (byte <= b' ') | (byte == 0x7f));
    let start = match &head.start {
        Start::Request(line) => word(&line.path) && word(&line.authority) && word(line.method.as_bytes()) && word(&line.protocol),
        Start::Response(line) => (100..=599).contains(&line.status),
    };
    start && fields_are_clean(&head.fields)
}

pub(crate) fn fields_are_clean(fields: &Fields) -> bool {
    !has(fields.added_bytes(), |byte| (byte == b'\r') | (byte == b'\n') | (byte == b'\0'))
}

/// Appends a head's block. `head_only`: it answers a HEAD.
pub(crate) fn write_head(encoder: &mut Encoder, head: &Head, head_only: bool, out: &mut Vec<u8>) {
    encoder.start(out);
    match &head.start {
        Start::Response(line) => {
            let digit = |unit| u8::try_from(line.status / unit % 10).unwrap_or_default() + b'0';
            encoder.field(b":status", &[digit(100), digit(10), digit(1)], out);
        }
        Start::Request(line) => {
            encoder.field(b":method", if line.protocol.is_empty() { line.method.as_bytes() } else { b"CONNECT" }, out);
            if !line.path.is_empty() {
                encoder.field(b":scheme", line.scheme.as_str().as_bytes(), out);
            }
            if !line.authority.is_empty() {
                encoder.field(b":authority", &line.authority, out);
            }
            if !line.path.is_empty() {
                encoder.field(b":path", &line.path, out);
            }
            if !line.protocol.is_empty() {
                encoder.field(b":protocol", &line.protocol, out);
            }
        }
    }
    write_fields(encoder, head, head_only, out);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a name that means nothing to the codec is passed on")]
fn write_fields(encoder: &mut Encoder, head: &Head, head_only: bool, out: &mut Vec<u8>) {
    let mut length = Length::of(head, head_only);
    for field in head.fields.iter() {
        match field.known {
            Name::Other => write_field(encoder, field, out),
            Name::Host if head.request().is_some_and(|line| !line.authority.is_empty()) => {}
            Name::Te => {
                // The one value it may have (RFC 9113 §8.2.2).
                if field.value.split(|byte| *byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"trailers")) {
                    encoder.field(b"te", b"trailers", out);
                }
            }
            Name::ContentLength => match core::mem::replace(&mut length, Length::Omitted) {
                Length::Omitted => {}
                Length::AsIs => write_field(encoder, field, out),
                Length::Bytes(bytes) => write_length(encoder, bytes, out),
            },
            // The proof that a server has understood is the stream's (RFC 8441 §5).
            Name::SecWebSocketKey | Name::SecWebSocketAccept => {}
            known if is_hop_by_hop(known) => {}
            _ => write_field(encoder, field, out),
        }
    }
    if let Length::Bytes(bytes) = length {
        write_length(encoder, bytes, out);
    }
}

/// Appends a trailer section's block.
pub(crate) fn write_trailers(encoder: &mut Encoder, fields: &Fields, out: &mut Vec<u8>) {
    encoder.start(out);
    let fields = fields
        .iter()
        .filter(|field| !is_hop_by_hop(field.known) && !matches!(field.known, Name::ContentLength | Name::Host | Name::Te | Name::Trailer));
    fields.for_each(|field| write_field(encoder, field, out));
}

/// What becomes of Content-Length.
#[derive(Clone, Copy)]
enum Length {
    Omitted,
    /// As the fields have it: it says what a GET would have brought.
    AsIs,
    Bytes(u64),
}

impl Length {
    fn of(head: &Head, head_only: bool) -> Self {
        let status = head.status();
        match head.body {
            _ if matches!(status, 100..=199 | 204) => Self::Omitted, // RFC 9110 §8.6
            Body::Known(length) => Self::Bytes(length),
            Body::None if head_only || status == 304 => Self::AsIs,
            Body::None | Body::Unknown => Self::Omitted,
        }
    }
}

/// Whether a field ends at each hop (RFC 9110 §7.6.1).
fn is_hop_by_hop(name: Name) -> bool {
    matches!(name, Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade)
}

fn write_field(encoder: &mut Encoder, field: Field<'_>, out: &mut Vec<u8>) {
    let name = field.name;
    if field.known != Name::Other {
        return encoder.field(field.known.as_str().as_bytes(), field.value, out);
    }
    if !has(name, |byte| byte.is_ascii_uppercase()) {
        return encoder.field(name, field.value, out);
    }
    let mut short = [0; NAME_BYTES];
    if let Some(lower) = short.get_mut(..name.len()) {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        encoder.field(lower, field.value, out);
    } else {
        encoder.field(&name.to_ascii_lowercase(), field.value, out);
    }
}

fn write_length(encoder: &mut Encoder, length: u64, out: &mut Vec<u8>) {
    let (mut digits, mut start, mut rest) = ([0; 20], 20, length);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        (start, rest) = (start - 1, rest / 10);
        if rest == 0 {
            break;
        }
    }
    encoder.field(b"content-length", digits.get(start..).unwrap_or_default(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::Decoder;
    use model::{Method, RequestLine, Scheme, Text};

    fn lines(head: &Head, head_only: bool) -> String {
        let mut out = Vec::new();
        write_head(&mut Encoder::new(4096), head, head_only, &mut out);
        let (mut decoder, mut input, mut lines) = (Decoder::default(), &out[..], Vec::new());
        decoder.start(&mut input).unwrap();
        while !input.is_empty() {
            let mut block = Vec::new();
            let (name, _) = decoder.field(&mut input, &mut block, |_, _| true).unwrap();
            lines.push(format!("{}={}", block[..name].escape_ascii(), block[name..].escape_ascii()));
        }
        lines.join(" ")
    }

    #[test]
    fn a_request_is_written_anew() {
        let line = RequestLine {
            method: Method::Post,
            scheme: Scheme::Https,
            authority: Text::from("a"),
            path: Text::from("/p"),
            protocol: Text::default(),
        };
        let mut head = Head { start: Start::Request(line), fields: Fields::default(), body: Body::Known(12), end: false };
        for (name, value) in [
            ("Host", "b"),
            ("Connection", "close"),
            ("X-Long-Name", "V"),
            ("TE", "gzip, trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Via", "v"),
        ] {
            head.fields.append(name.as_bytes(), value.as_bytes());
        }
        let expect = ":method=POST :scheme=https :authority=a :path=/p x-long-name=V te=trailers via=v content-length=12";
        assert_eq!(lines(&head, false), expect);
    }

    #[test]
    fn lengths_follow_the_body() {
        for (status, field, body, head_only, expect) in [
            (200, "7", Body::Known(5), false, ":status=200 content-length=5"),
            (200, "", Body::Known(0), false, ":status=200 content-length=0"),
            (200, "7", Body::Unknown, false, ":status=200"),
            (200, "7", Body::None, false, ":status=200"),
            (200, "7", Body::None, true, ":status=200 content-length=7"),
            (304, "7", Body::None, false, ":status=304 content-length=7"),
            (204, "7", Body::None, false, ":status=204"),
            (599, "", Body::None, false, ":status=599"),
        ] {
            let mut head = Head::response(status, body);
            if !field.is_empty() {
                head.fields.append(b"Content-Length", field.as_bytes());
            }
            assert_eq!(lines(&head, head_only), expect, "{status} {body:?}");
        }
    }
}
