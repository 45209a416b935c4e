//! Frames (RFC 9113 §4, §6): nine bytes of head, then a payload whose form the type says. What is wrong with a frame on its own, whatever the
//! connection's state, is found here.

mod payload;
mod settings;

use alloc::vec::Vec;

use crate::code::ErrorCode;

pub(crate) use payload::{Priority, goaway, priority_update, trim, window_increment, word};
pub(crate) use settings::{PeerSettings, Setting, WINDOW_DEFAULT, WINDOW_MAX, write_settings};

/// What begins a client's connection (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's head.
pub(crate) const HEAD_BYTES: usize = 9;

/// The largest payload we take: the default, which nothing of ours raises. In bytes.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = 16_384;

/// The largest payload there can be, in bytes.
pub(crate) const PAYLOAD_BYTES_LIMIT: u32 = (1 << 24) - 1;

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Bytes of payload.
    pub(crate) length: u32,
    pub(crate) kind: Kind,
    flags: u8,
    /// 0 is the connection.
    pub(crate) stream: u32,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// RFC 9218 §7.1.
    PriorityUpdate,
    /// Of an extension that we do not speak.
    Unknown,
}

/// Of DATA and HEADERS: the sender's last frame of the stream. Of SETTINGS and PING: an acknowledgement.
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

impl Kind {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            16 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::Reset => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::PriorityUpdate => 16,
            Self::Unknown => 0xff,
        }
    }
}

impl FrameHead {
    pub(crate) fn new(kind: Kind, flags: u8, stream: u32, length: usize) -> Self {
        Self { length: u32::try_from(length).unwrap_or(u32::MAX).min(PAYLOAD_BYTES_LIMIT), kind, flags, stream }
    }

    /// The reserved bit is ignored (RFC 9113 §4.1).
    pub(crate) fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        let length = u32::from_be_bytes([0, high, middle, low]);
        Self { length, kind: Kind::of(kind), flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff }
    }

    pub(crate) fn bytes(self) -> [u8; HEAD_BYTES] {
        let ([_, high, middle, low], stream) = (self.length.to_be_bytes(), self.stream.to_be_bytes());
        let mut bytes = [high, middle, low, self.kind.number(), self.flags, 0, 0, 0, 0];
        if let Some(place) = bytes.last_chunk_mut() {
            *place = stream;
        }
        bytes
    }

    pub(crate) fn end_stream(self) -> bool {
        self.flags & END_STREAM != 0
    }

    pub(crate) fn ack(self) -> bool {
        self.flags & ACK != 0
    }

    pub(crate) fn end_headers(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    pub(crate) fn padded(self) -> bool {
        self.flags & PADDED != 0
    }

    fn has_priority(self) -> bool {
        self.flags & PRIORITY != 0
    }

    /// What is wrong with this head, on any connection, as an error of the connection. (A PRIORITY of a wrong size is one of the stream.)
    pub(crate) fn check(self) -> Result<(), ErrorCode> {
        let on_stream = self.stream != 0;
        let (fits, place) = match self.kind {
            Kind::Data | Kind::Headers => (!self.padded() || self.length > 0, on_stream),
            Kind::Continuation | Kind::PushPromise | Kind::Priority => (true, on_stream),
            Kind::Reset => (self.length == 4, on_stream),
            Kind::WindowUpdate => (self.length == 4, true),
            Kind::Settings => (if self.ack() { self.length == 0 } else { self.length.is_multiple_of(6) }, !on_stream),
            Kind::Ping => (self.length == 8, !on_stream),
            Kind::GoAway => (self.length >= 8, !on_stream),
            Kind::PriorityUpdate => (self.length >= 4, !on_stream),
            Kind::Unknown => (true, true),
        };
        match (fits && self.length <= PAYLOAD_BYTES_MAX, place) {
            (_, false) => Err(ErrorCode::ProtocolError),
            (false, _) => Err(ErrorCode::FrameSizeError),
            (true, true) => Ok(()),
        }
    }
}

/// Appends a frame with a small payload.
pub(crate) fn write(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&FrameHead::new(kind, flags, stream, payload.len()).bytes());
    out.extend_from_slice(payload);
}

/// Makes frames of a header block that stands in `out` from `start` on, behind the room for one head: HEADERS and, when it is larger than the
/// peer takes, CONTINUATION.
pub(crate) fn close_block(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: bool, payload_max: usize) {
    let length = out.len().saturating_sub(start + HEAD_BYTES);
    let flags = if end_stream { END_STREAM } else { 0 };
    if length <= payload_max {
        set_head(out, start, FrameHead::new(Kind::Headers, flags | END_HEADERS, stream, length));
        return;
    }
    let block = out.split_off(start + HEAD_BYTES);
    set_head(out, start, FrameHead::new(Kind::Headers, flags, stream, payload_max));
    let mut pieces = block.chunks(payload_max.max(1));
    out.extend_from_slice(pieces.next().unwrap_or_default());
    while let Some(piece) = pieces.next() {
        let last = if pieces.len() == 0 { END_HEADERS } else { 0 };
        write(out, Kind::Continuation, last, stream, piece);
    }
}

fn set_head(out: &mut [u8], start: usize, head: FrameHead) {
    if let Some(place) = out.get_mut(start..start + HEAD_BYTES) {
        place.copy_from_slice(&head.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive() {
        let head = FrameHead::new(Kind::Headers, END_STREAM | END_HEADERS, 0x7fff_ffff, 0x01_0203);
        assert_eq!(head.bytes(), [1, 2, 3, 1, 5, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(FrameHead::parse(head.bytes()), head);
        assert_eq!(FrameHead::parse([0, 0, 0, 0, 0, 0x80, 0, 0, 1]).stream, 1, "the reserved bit is ignored");
        for number in 0..=255 {
            let kind = Kind::of(number);
            assert!(kind == Kind::Unknown || kind.number() == number);
        }
    }

    #[test]
    fn large_blocks_continue() {
        for (length, expect) in [(3, "1+5:3"), (4, "1+5:4"), (5, "1+1:4 9+4:1"), (8, "1+1:4 9+4:4"), (9, "1+1:4 9+0:4 9+4:1")] {
            let mut out = vec![0; HEAD_BYTES];
            out.extend(1..=length);
            close_block(&mut out, 0, 1, true, 4);
            let (mut rest, mut frames, mut block) = (&out[..], Vec::new(), Vec::new());
            while !rest.is_empty() {
                let head = FrameHead::parse(rest[..HEAD_BYTES].try_into().unwrap());
                let (payload, after) = rest[HEAD_BYTES..].split_at(head.length as usize);
                frames.push(format!("{}+{}:{}", head.kind.number(), head.flags, head.length));
                block.extend_from_slice(payload);
                rest = after;
            }
            assert_eq!((frames.join(" ").as_str(), block), (expect, (1..=length).collect()));
        }
    }
}
