//! Payloads that are more than bytes: padding, priorities, numbers.

use crate::code::ErrorCode;

use super::FrameHead;

/// A HEADERS payload without what surrounds the block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trimmed<'a> {
    pub(crate) block: &'a [u8],
    /// The priority of RFC 7540, if there was one: only checked.
    pub(crate) priority: Option<Priority>,
}

/// A priority as RFC 7540 §5.3 had it. Obsolete; what is left of it is that a stream must not depend on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    pub(crate) depends_on: u32,
}

impl Priority {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let [a, b, c, d, _weight] = payload else { return None };
        Some(Self { depends_on: u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff })
    }
}

/// Takes padding and priority off a HEADERS payload (RFC 9113 §6.2).
pub(crate) fn trim(head: FrameHead, payload: &[u8]) -> Result<Trimmed<'_>, ErrorCode> {
    let (padding, rest) = match payload {
        [padding, rest @ ..] if head.padded() => (usize::from(*padding), rest),
        _ => (0, payload),
    };
    let (fields, block) = if head.has_priority() { rest.split_at_checked(5).ok_or(ErrorCode::FrameSizeError)? } else { (&[][..], rest) };
    let block = block.len().checked_sub(padding).and_then(|length| block.get(..length)).ok_or(ErrorCode::ProtocolError)?;
    Ok(Trimmed { block, priority: Priority::parse(fields) })
}

/// The number a payload begins with; 0 when it is too short.
pub(crate) fn word(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// What a `WINDOW_UPDATE` grants; the reserved bit is ignored.
pub(crate) fn window_increment(payload: &[u8]) -> u32 {
    word(payload) & 0x7fff_ffff
}

/// The last stream a GOAWAY names, and its code.
pub(crate) fn goaway(payload: &[u8]) -> (u32, ErrorCode) {
    (word(payload) & 0x7fff_ffff, ErrorCode::from_number(word(payload.get(4..).unwrap_or_default())))
}

/// The stream a `PRIORITY_UPDATE` is about, and its priority field value (RFC 9218 §7.1).
pub(crate) fn priority_update(payload: &[u8]) -> (u32, &[u8]) {
    (word(payload) & 0x7fff_ffff, payload.get(4..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::Kind, *};

    #[test]
    fn padding_and_priority_come_off() {
        for (flags, payload, expect) in [
            (0, &b"abc"[..], Ok((&b"abc"[..], None))),
            (0x8, b"\x02abc", Ok((b"a", None))),
            (0x8, b"\x03abc", Ok((b"", None))),
            (0x8, b"\x04abc", Err(ErrorCode::ProtocolError)),
            (0x20, b"\x80\0\0\x07\x10abc", Ok((b"abc", Some(7)))),
            (0x20, b"\0\0\0\x07", Err(ErrorCode::FrameSizeError)),
            (0x28, b"\x01\0\0\0\x07\x10abc", Ok((b"ab", Some(7)))),
            (0x28, b"\x04\0\0\0\x07\x10abc", Err(ErrorCode::ProtocolError)),
        ] {
            let head = FrameHead::new(Kind::Headers, flags, 1, payload.len());
            let expect = expect.map(|(block, on)| Trimmed { block, priority: on.map(|depends_on| Priority { depends_on }) });
            assert_eq!(trim(head, payload), expect, "{payload:?}");
        }
    }
}
