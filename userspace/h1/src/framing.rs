//! How long a message's content is (RFC 9112 §6). Every doubt is a refusal: a length that two parties could read differently is how
//! requests are smuggled.

use model::{Body, Cause, grammar::parse_length};

use crate::connection::Version;

/// What the fields say about the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Content-Length, once and valid.
    pub(crate) length: Option<u64>,
    /// Transfer-Encoding, once and exactly `chunked`.
    pub(crate) chunked: bool,
}

impl Framing {
    /// One more Content-Length. A second one is refused even when it is equal, as is a list (RFC 9110 §8.6 leaves the choice).
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), Cause> {
        if self.length.is_some() {
            return Err(Cause::BadFraming);
        }
        self.length = Some(parse_length(value).ok_or(Cause::BadFraming)?);
        Ok(())
    }

    /// One more Transfer-Encoding. Without a final `chunked` the length cannot be known: 400. Other codings before it: 501
    /// (RFC 9112 §6.1, §6.3).
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Cause> {
        if self.chunked {
            return Err(Cause::BadFraming);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(refused_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    /// What holds for both sides: the two exclude each other, and HTTP/1.0 has no transfer codings (RFC 9112 §6.1).
    pub(crate) fn check(self, version: Version) -> Result<(), Cause> {
        if self.chunked && (self.length.is_some() || version == Version::Http10) { Err(Cause::BadFraming) } else { Ok(()) }
    }

    /// A request's content; without any framing there is none (RFC 9112 §6.3 rule 7).
    pub(crate) fn request(self) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::Unknown,
            (false, Some(length)) => Body::Known(length),
            (false, None) => Body::None,
        }
    }

    /// A response's content; without any framing it lasts until the connection closes (RFC 9112 §6.3 rule 8).
    pub(crate) fn response(self, status: u16, head_only: bool) -> Body {
        if head_only || has_no_content(status) {
            return Body::None;
        }
        self.length.map_or(Body::Unknown, Body::Known)
    }
}

/// The statuses whose responses end with their head (RFC 9110 §6.4.1).
pub(crate) fn has_no_content(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

fn refused_coding(value: &[u8]) -> Cause {
    let mut codings = value.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let last_only = codings.next().is_some_and(chunked) && !codings.clone().any(chunked) && codings.all(|coding| !coding.is_empty());
    if last_only { Cause::NotImplemented } else { Cause::BadFraming }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (value, expect) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("0005", Some(5)),
            ("9223372036854775807", Some(model::grammar::LENGTH_MAX)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("+5", None),
            ("-5", None),
            ("5 5", None),
            ("5, 5", None),
            ("5,5", None),
            ("0x5", None),
            ("5.0", None),
            ("5e1", None),
            ("\u{665}", None),
            ("5\u{b}", None),
        ] {
            assert_eq!(parse_length(value.as_bytes()), expect, "{value:?}");
        }
    }

    #[test]
    fn codings() {
        for (value, expect) in [
            ("chunked", None),
            ("CHUNKED", None),
            ("gzip, chunked", Some(Cause::NotImplemented)),
            ("identity , chunked", Some(Cause::NotImplemented)),
            ("gzip", Some(Cause::BadFraming)),
            ("identity", Some(Cause::BadFraming)),
            ("xchunked", Some(Cause::BadFraming)),
            ("chunked, gzip", Some(Cause::BadFraming)),
            ("chunked, chunked", Some(Cause::BadFraming)),
            ("chunked,", Some(Cause::BadFraming)),
            (",chunked", Some(Cause::BadFraming)),
            ("chunked;q=1", Some(Cause::BadFraming)),
            ("\"chunked\"", Some(Cause::BadFraming)),
            ("chunked\u{b}", Some(Cause::BadFraming)),
            ("", Some(Cause::BadFraming)),
        ] {
            assert_eq!(Framing::default().transfer_encoding(value.as_bytes()).err(), expect, "{value:?}");
        }
    }
}
