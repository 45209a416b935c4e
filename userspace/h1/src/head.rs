//! A whole head, parsed: httparse for the grammar, then what this codec is strict about.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use buf::Chunk;
use httparse::{Error, Header, Status};
use model::{Body, Cause, Fields, Head, HeadLimits, Method, Name, RequestLine, Scheme, Start, StatusLine, Text};

use crate::{
    authority::is_authority,
    connection::{Settings, Version},
    fields::{self, Facts, Kind, span},
    framing::has_no_content,
    target,
};

/// Fields for which parsing needs no heap.
const SLOTS: usize = 64;

/// A head and what the codec must remember of it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) version: Version,
    /// Whether the content is chunked rather than of another unknown length.
    pub(crate) chunked: bool,
    /// Whether the peer is willing to go on after this exchange (RFC 9112 §9.3).
    pub(crate) persistent: bool,
    pub(crate) expects_continue: bool,
}

/// Parses a request's head of so many lines.
pub(crate) fn request(block: &Chunk, lines: usize, settings: &Settings) -> Result<Message, Cause> {
    with_slots(lines, &settings.limits, |slots| {
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(block, slots) {
            Ok(Status::Complete(_)) => {}
            Err(Error::Version) => return with_later_minor(block, |patched| request(patched, lines, settings)),
            Ok(Status::Partial) | Err(_) => return Err(Cause::MalformedHead),
        }
        let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Cause::MalformedHead);
        };
        if target.len() > settings.limits.target_bytes_max as usize {
            return Err(Cause::TargetTooLong);
        }
        let method = Method::registered(method.as_bytes()).unwrap_or_else(|| Method::Other(cut(block, method.as_bytes())));
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let target = target::read(&method, cut(block, target.as_bytes()))?;
        let (fields, facts) = fields::read(block, parsed.headers, Kind::Request)?;
        facts.framing.check(version)?;
        build_request(block, RequestParts { method, version, target, fields, facts }, settings.scheme)
    })
}

struct RequestParts {
    method: Method,
    version: Version,
    target: target::Target,
    fields: Fields,
    facts: Facts,
}

fn build_request(block: &Chunk, parts: RequestParts, scheme: Scheme) -> Result<Message, Cause> {
    let RequestParts { method, version, target, mut fields, facts } = parts;
    let host = host(block, &facts, version)?;
    let (scheme, authority) = match target.absolute {
        Some((scheme, authority)) => (scheme, authority),
        // An empty Host stands for no authority: fine with the asterisk form, but no http URI is without one (RFC 9110 §4.2.1).
        None if host.is_empty() && version == Version::Http11 && target.path.first() == Some(&b'/') => return Err(Cause::BadHost),
        None => (scheme, host),
    };
    let body = facts.framing.request();
    let end = matches!(body, Body::None | Body::Known(0));
    // HTTP/1.0 knows no 100 (Continue), and without content there is nothing to wait for (RFC 9110 §10.1.1).
    let expects_continue = facts.expects_continue && version == Version::Http11 && !end;
    if facts.expects_continue && !expects_continue {
        fields.remove_name(Name::Expect);
    }
    let start = Start::Request(RequestLine { method, scheme, authority, path: target.path });
    let persistent = persistent(version, &facts);
    Ok(Message { head: Head { start, fields, body, end }, version, chunked: facts.framing.chunked, persistent, expects_continue })
}

/// The Host field's value: exactly one from 1.1 on, and valid (RFC 9112 §3.2).
fn host(block: &Chunk, facts: &Facts, version: Version) -> Result<Text, Cause> {
    let Some(span) = facts.host else {
        return if version == Version::Http10 { Ok(Text::default()) } else { Err(Cause::BadHost) };
    };
    let host = block.slice(span.start as usize, span.start as usize + span.length as usize);
    if host.is_empty() || is_authority(&host) { Ok(host) } else { Err(Cause::BadHost) }
}

/// Parses a response's head of so many lines; `head_only` when the request was HEAD.
pub(crate) fn response(block: &Chunk, lines: usize, head_only: bool, limits: &HeadLimits) -> Result<Message, Cause> {
    with_slots(lines, limits, |slots| {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, block, slots) {
            Ok(Status::Complete(_)) => {}
            Err(Error::Version) => return with_later_minor(block, |patched| response(patched, lines, head_only, limits)),
            Ok(Status::Partial) | Err(_) => return Err(Cause::MalformedResponse),
        }
        let (Some(status @ 100..=599), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(Cause::MalformedResponse);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let (fields, facts) = fields::read(block, parsed.headers, Kind::Response)?;
        facts.framing.check(version)?;
        let interim = status < 200;
        if interim && (facts.framing.chunked || facts.framing.length.is_some()) {
            return Err(Cause::MalformedResponse); // RFC 9110 §8.6, RFC 9112 §6.1
        }
        let body = facts.framing.response(status, head_only);
        // Framing where there can be no content: what the origin sends behind it would be taken for the next response.
        let honest = status != 204 || (!facts.framing.chunked && facts.framing.length.unwrap_or(0) == 0);
        let delimited = has_no_content(status) || head_only || facts.framing.chunked || facts.framing.length.is_some();
        let start = Start::Response(StatusLine { status, reason: reason(block) });
        let end = !interim && matches!(body, Body::None | Body::Known(0));
        let persistent = persistent(version, &facts) && honest && delimited;
        let head = Head { start, fields, body, end };
        Ok(Message { head, version, chunked: facts.framing.chunked && !end, persistent, expects_continue: false })
    })
}

/// The reason phrase, which may be missing together with the space before it. httparse has checked its bytes.
fn reason(block: &Chunk) -> Text {
    const BEFORE: usize = b"HTTP/1.1 200 ".len();
    let end = memchr::memchr(b'\r', block).unwrap_or_default();
    block.slice(BEFORE, end)
}

/// Parses a trailer section of so many lines.
pub(crate) fn trailers(block: &Chunk, lines: usize, limits: &HeadLimits) -> Result<Fields, Cause> {
    if lines > usize::from(limits.fields_max) {
        return Err(Cause::HeadTooLarge);
    }
    let mut headers = alloc::vec![httparse::EMPTY_HEADER; lines];
    match httparse::parse_headers(block, &mut headers) {
        Ok(Status::Complete((_, headers))) => Ok(fields::read_trailers(block, headers)),
        Ok(Status::Partial) | Err(_) => Err(Cause::BadChunk),
    }
}

/// Gives `parse` as many slots as there are fields, from the stack when they are few.
fn with_slots<'b, T>(
    lines: usize,
    limits: &HeadLimits,
    parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> Result<T, Cause>,
) -> Result<T, Cause> {
    let count = lines.saturating_sub(1);
    if count > usize::from(limits.fields_max) {
        return Err(Cause::HeadTooLarge);
    }
    let mut few = [const { MaybeUninit::uninit() }; SLOTS];
    if let Some(slots) = few.get_mut(..count) {
        return parse(slots);
    }
    let mut many = Vec::new();
    many.resize_with(count, MaybeUninit::uninit);
    parse(&mut many)
}

/// httparse knows 1.0 and 1.1 only. A later minor version is read as 1.1 (RFC 9110 §2.5); another major one is not ours.
fn with_later_minor(block: &Chunk, parse: impl FnOnce(&Chunk) -> Result<Message, Cause>) -> Result<Message, Cause> {
    let end = memchr::memchr(b'\r', block).unwrap_or_default();
    let line = block.get(..end).unwrap_or_default();
    // A response begins with it, a request ends with it.
    let at = if line.starts_with(b"HTTP/") { 0 } else { line.windows(5).rposition(|word| word == b"HTTP/").unwrap_or(end) };
    let (before, version) = line.split_at(at);
    let words = before.split(|byte| *byte == b' ').count();
    match version {
        _ if at > 0 && (words != 3 || !before.ends_with(b" ")) => Err(Cause::MalformedHead),
        [_, _, _, _, _, b'1', b'.', b'2'..=b'9', rest @ ..] => {
            let behind = block.get(end..).unwrap_or_default();
            parse(&Chunk::from([before, b"HTTP/1.1", rest, behind].concat()))
        }
        [_, _, _, _, _, major, b'.', minor, ..] if major.is_ascii_digit() && minor.is_ascii_digit() => Err(Cause::VersionNotSupported),
        _ => Err(Cause::MalformedHead),
    }
}

fn persistent(version: Version, facts: &Facts) -> bool {
    !facts.close && (version == Version::Http11 || facts.keep_alive)
}

fn cut(block: &Chunk, part: &[u8]) -> Chunk {
    let span = span(block, part);
    block.slice(span.start as usize, span.start as usize + span.length as usize)
}
