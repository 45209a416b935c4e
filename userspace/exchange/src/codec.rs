//! The codecs there are, as a closed enum: the one place that knows HTTP versions.

use buf::{Chunk, Output};
use model::{Fault, Head, Part};

/// A codec of some HTTP version, either side.
pub enum Codec {
    /// HTTP/1.0 and 1.1.
    H1(h1::Connection),
}

impl Codec {
    pub(crate) fn receive(&mut self, input: &mut Chunk) -> Result<Option<Part>, Fault> {
        match self {
            Self::H1(codec) => codec.receive(input),
        }
    }

    pub(crate) fn eof(&mut self) -> Result<Option<Part>, Fault> {
        match self {
            Self::H1(codec) => codec.eof(),
        }
    }

    pub(crate) fn send(&mut self, part: Part, output: &mut Output) -> Result<(), Fault> {
        match self {
            Self::H1(codec) => codec.send(part, output).map(drop),
        }
    }

    pub(crate) fn send_head(&mut self, head: &Head, output: &mut Output) -> Result<(), Fault> {
        match self {
            Self::H1(codec) => codec.send_head(head, output).map(drop),
        }
    }

    pub(crate) fn receiving_done(&self) -> bool {
        match self {
            Self::H1(codec) => codec.receiving_done(),
        }
    }

    pub(crate) fn sending_done(&self) -> bool {
        match self {
            Self::H1(codec) => codec.sending_done(),
        }
    }

    pub(crate) fn can_reuse(&self) -> bool {
        match self {
            Self::H1(codec) => codec.can_reuse(),
        }
    }

    /// Whether nothing more may be read before our side of the exchange is complete, or before another begins.
    pub(crate) fn is_waiting(&self) -> bool {
        match self {
            Self::H1(codec) => codec.is_waiting() || !codec.is_server() && codec.receiving_done(),
        }
    }

    pub(crate) fn must_close(&self) -> bool {
        match self {
            Self::H1(codec) => codec.must_close(),
        }
    }

    /// Whether the peer has said that its message, all of which has come, was its last.
    pub(crate) fn peer_has_ended(&self) -> bool {
        match self {
            Self::H1(codec) => codec.peer_has_ended(),
        }
    }

    pub(crate) fn in_head(&self) -> bool {
        match self {
            Self::H1(codec) => codec.in_head(),
        }
    }

    pub(crate) fn close_after(&mut self) {
        match self {
            Self::H1(codec) => codec.close_after(),
        }
    }

    /// Bytes of the body being received that may move past the codec, and of the body being sent.
    pub(crate) fn raw_receive(&self) -> Option<u64> {
        match self {
            Self::H1(codec) => codec.raw_receive(),
        }
    }

    pub(crate) fn raw_send(&self) -> Option<u64> {
        match self {
            Self::H1(codec) => codec.raw_send(),
        }
    }

    pub(crate) fn moved_in(&mut self, count: u64) {
        match self {
            Self::H1(codec) => codec.moved_in(count),
        }
    }

    pub(crate) fn moved_out(&mut self, count: u64) {
        match self {
            Self::H1(codec) => codec.moved_out(count),
        }
    }
}
