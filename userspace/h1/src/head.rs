//! What the heads of requests and responses have in common: how many fields there may be, which versions there are.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use buf::Chunk;
use httparse::{Header, Status};
use model::{Cause, Fields, Head, HeadLimits};

use crate::{
    connection::Version,
    fields::{self, Facts},
    source::Source,
};

/// Fields for which parsing needs no heap.
pub(crate) const SLOTS: usize = 64;

/// A head and what the codec must remember of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of a field of its own")]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) version: Version,
    /// Whether the content is chunked rather than of another unknown length.
    pub(crate) chunked: bool,
    /// Whether the peer is willing to go on after this exchange (RFC 9112 §9.3).
    pub(crate) persistent: bool,
    pub(crate) expects_continue: bool,
    /// Whether it asks for an upgrade or a tunnel, or agrees to an upgrade.
    pub(crate) upgrade: bool,
}

/// Whether a head that httparse took is within the limits and each of its lines ends with CRLF. httparse lets a lone LF end a line: so what
/// stands before each name, and at the end, is looked at.
pub(crate) fn is_plain(bytes: &[u8], headers: &[Header<'_>], limits: &HeadLimits) -> bool {
    let start = bytes.as_ptr().addr();
    let after_line = |header: &Header<'_>| {
        let at = header.name.as_ptr().addr().wrapping_sub(start);
        bytes.get(at.wrapping_sub(2)..at) == Some(b"\r\n")
    };
    bytes.len() <= limits.head_bytes_max as usize
        && headers.len() <= usize::from(limits.fields_max)
        && bytes.ends_with(b"\r\n\r\n")
        && headers.iter().all(after_line)
}

/// Parses a trailer section of so many lines.
pub(crate) fn trailers(block: &Chunk, lines: usize, limits: &HeadLimits) -> Result<Fields, Cause> {
    if lines > usize::from(limits.fields_max) {
        return Err(Cause::HeadTooLarge);
    }
    let mut headers = alloc::vec![httparse::EMPTY_HEADER; lines];
    match httparse::parse_headers(block, &mut headers) {
        Ok(Status::Complete((_, headers))) => Ok(fields::read_trailers(&Source::block(block), headers)),
        Ok(Status::Partial) | Err(_) => Err(Cause::BadChunk),
    }
}

/// Gives `parse` as many slots as there are fields, from the stack when they are few.
pub(crate) fn with_slots<'b, T>(
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
pub(crate) fn with_later_minor(block: &Chunk, parse: impl FnOnce(&Chunk) -> Result<Message, Cause>) -> Result<Message, Cause> {
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

pub(crate) fn persistent(version: Version, facts: &Facts) -> bool {
    !facts.close && (version == Version::Http11 || facts.keep_alive)
}
