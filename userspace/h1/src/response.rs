//! A response's head: httparse for the grammar, then what this codec is strict about.

use buf::Chunk;
use core::mem::MaybeUninit;
use httparse::{Error, Status};
use model::{Body, Cause, Head, HeadLimits, Start, StatusLine, Text};

use crate::{
    connection::Version,
    fields::{self, Kind},
    framing::has_no_content,
    head::{Message, SLOTS, is_plain, persistent, with_later_minor, with_slots},
    source::Source,
};

/// As [`crate::request::in_place`]; `head_only` when the request was HEAD.
pub(crate) fn in_place(input: &[u8], head_only: bool, limits: &HeadLimits) -> Option<(usize, Result<Message, Cause>)> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let Ok(Status::Complete(length)) = config.parse_response_with_uninit_headers(&mut parsed, input, &mut slots) else { return None };
    let bytes = input.get(..length)?;
    is_plain(bytes, parsed.headers, limits).then(|| (length, read(&Source::copy_of(bytes), &parsed, head_only)))
}

/// As [`crate::request::gathered`].
pub(crate) fn gathered(block: &Chunk, lines: usize, head_only: bool, limits: &HeadLimits) -> Result<Message, Cause> {
    with_slots(lines, limits, |slots| {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, block, slots) {
            Ok(Status::Complete(_)) => read(&Source::block(block), &parsed, head_only),
            Err(Error::Version) => with_later_minor(block, |patched| gathered(patched, lines, head_only, limits)),
            Ok(Status::Partial) | Err(_) => Err(Cause::MalformedResponse),
        }
    })
}

fn read(source: &Source<'_>, parsed: &httparse::Response<'_, '_>, head_only: bool) -> Result<Message, Cause> {
    let (Some(status @ 100..=599), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Cause::MalformedResponse);
    };
    let version = Version::of(minor);
    let (fields, facts) = fields::read(source, parsed.headers, Kind::Response)?;
    let framing = facts.framing;
    framing.check(version)?;
    let framed = framing.chunked || framing.length.is_some();
    let interim = status < 200;
    if interim && framed {
        return Err(Cause::MalformedResponse); // RFC 9110 §8.6, RFC 9112 §6.1
    }
    let body = framing.response(status, head_only);
    // Framing where there can be no content: what the origin sends behind it would be taken for the next response.
    let honest = status != 204 || (!framing.chunked && framing.length.unwrap_or(0) == 0);
    let delimited = has_no_content(status) || head_only || framed;
    let end = !interim && matches!(body, Body::None | Body::Known(0));
    let head = Head { start: Start::Response(StatusLine { status, reason: reason(source) }), fields, body, end };
    let persistent = persistent(version, &facts) && honest && delimited;
    Ok(Message { head, version, chunked: framing.chunked && !end, persistent, expects_continue: false, upgrade: facts.upgrades() })
}

/// The reason phrase, which may be missing together with the space before it. httparse has checked its bytes.
fn reason(source: &Source<'_>) -> Text {
    const BEFORE: usize = b"HTTP/1.1 200 ".len();
    let rest = source.bytes.get(BEFORE..).unwrap_or_default();
    let end = memchr::memchr(b'\r', rest).unwrap_or_default();
    let missing = source.bytes.get(BEFORE - 1) == Some(&b'\r');
    if missing { Text::default() } else { source.cut(rest.get(..end).unwrap_or_default()) }
}
