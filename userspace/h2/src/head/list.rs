//! A field list as it comes out of the decoder: its bytes in one block, each field looked at once. The rules that hold for every list are
//! kept here (RFC 9113 §8.2, §8.3); a list that breaks one is read to its end all the same, since the compression's state depends on it.

use alloc::vec::Vec;

use buf::Chunk;
use model::{Cause, Fields, HeadLimits, Name, Span, Text, grammar::parse_length};

use crate::hpack::{Broken, Decoder};

use super::{Problem, grammar};

/// What a field costs beside its bytes (RFC 9113 §6.5.2).
const FIELD_BYTES: usize = 32;

/// Room for a usual head.
const BLOCK_BYTES: usize = 512;

/// How large a list may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListLimits {
    bytes_max: usize,
    fields_max: usize,
}

impl From<&HeadLimits> for ListLimits {
    fn from(limits: &HeadLimits) -> Self {
        Self { bytes_max: limits.head_bytes_max as usize, fields_max: usize::from(limits.fields_max) }
    }
}

/// A field list.
#[derive(Debug, Default)]
pub(crate) struct List {
    bytes: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) pseudo: Pseudo,
    pub(crate) host: Option<Span>,
    pub(crate) content_length: Option<u64>,
    pub(crate) cookies: u16,
    /// The Priority field (RFC 9218 §5), last one.
    pub(crate) priority: Option<Span>,
    pub(crate) expects: Expects,
    /// As RFC 9113 §6.5.2 counts it.
    size: usize,
    problem: Option<Problem>,
}

/// The pseudo-header fields.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pseudo {
    pub(crate) method: Option<Span>,
    pub(crate) scheme: Option<Span>,
    pub(crate) authority: Option<Span>,
    pub(crate) path: Option<Span>,
    pub(crate) protocol: Option<Span>,
    pub(crate) status: Option<Span>,
}

/// What Expect asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expects {
    #[default]
    Nothing,
    Continue,
    Other,
}

impl List {
    /// Decodes a whole block.
    pub(crate) fn decode(decoder: &mut Decoder, mut input: &[u8], limits: ListLimits) -> Result<Self, Broken> {
        let mut list = Self { bytes: Vec::with_capacity(BLOCK_BYTES.max(input.len())), ..Self::default() };
        list.fields = Fields::over(Chunk::default(), 16);
        decoder.start(&mut input)?;
        while !input.is_empty() {
            let start = list.bytes.len();
            let (name, fair) = decoder.field(&mut input, &mut list.bytes, grammar::is_fair)?;
            if !fair {
                list.problem.get_or_insert(Problem::Malformed);
            }
            list.field(start, start + name, limits);
        }
        Ok(list)
    }

    /// What is wrong with it, if something is.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// The bytes of a span.
    pub(crate) fn at(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.start as usize + span.length as usize).unwrap_or_default()
    }

    /// Its fields, and its bytes for the texts that stand beside them.
    pub(crate) fn close(self) -> (Fields, Chunk) {
        let block = Chunk::from(self.bytes);
        (self.fields.with_block(block.clone()), block)
    }

    /// The field whose name begins at `start` and ends at `middle`, and whose value ends the block.
    fn field(&mut self, start: usize, middle: usize, limits: ListLimits) {
        let end = self.bytes.len();
        self.size += end - start + FIELD_BYTES;
        if self.size > limits.bytes_max || self.fields.len() >= limits.fields_max {
            // Malformed or not is not looked for any more.
            self.problem.get_or_insert(Problem::Refused(Cause::HeadTooLarge));
        }
        if self.problem.is_some() {
            self.bytes.truncate(start);
            return;
        }
        let (name, value) = (span(start, middle), span(middle, end));
        if let Err(problem) = self.check(name, value) {
            self.problem = Some(problem);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a name that means nothing to the codec is passed on")]
    fn check(&mut self, name_span: Span, value_span: Span) -> Result<(), Problem> {
        let (name, value) = (self.at(name_span), self.at(value_span));
        if let [b':', pseudo @ ..] = name {
            let place = match pseudo {
                _ if !self.fields.is_empty() => return Err(Problem::Malformed), // behind a field (RFC 9113 §8.3)
                b"method" => &mut self.pseudo.method,
                b"scheme" => &mut self.pseudo.scheme,
                b"authority" => &mut self.pseudo.authority,
                b"path" => &mut self.pseudo.path,
                b"protocol" => &mut self.pseudo.protocol,
                b"status" => &mut self.pseudo.status,
                _ => return Err(Problem::Malformed),
            };
            return if place.replace(value_span).is_some() { Err(Problem::Malformed) } else { Ok(()) };
        }
        let known = Name::of(name);
        match known {
            Name::Other if name == b"cookie" => self.cookies += 1,
            Name::Other if name == b"priority" => self.priority = Some(value_span),
            // What is meant for one connection has no place here (RFC 9113 §8.2.2).
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::TransferEncoding | Name::Upgrade => {
                return Err(Problem::Malformed);
            }
            Name::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Problem::Malformed),
            Name::ContentLength if self.content_length.is_some() => return Err(Problem::Malformed),
            Name::ContentLength => self.content_length = Some(parse_length(value).ok_or(Problem::Malformed)?),
            Name::Host if self.host.is_some() => return Err(Problem::Malformed),
            Name::Host => self.host = Some(value_span),
            Name::Expect => {
                self.expects = if value.eq_ignore_ascii_case(b"100-continue") { Expects::Continue } else { Expects::Other };
            }
            _ => {}
        }
        self.fields.push_span(known, name_span, value_span);
        Ok(())
    }
}

/// A text of the closed list's bytes.
pub(crate) fn text(block: &Chunk, span: Option<Span>) -> Text {
    span.map_or_else(Text::default, |span| block.slice(span.start as usize, span.start as usize + span.length as usize))
}

fn span(start: usize, end: usize) -> Span {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Span { start: number(start), length: number(end.saturating_sub(start)) }
}
