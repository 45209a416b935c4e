//! What is remembered between two receptions: how far the frame has come, and what did not come whole.

use alloc::vec::Vec;

use crate::frame::{FrameHead, HEAD_BYTES};

/// How far the frame being received has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// So many bytes of the client's preface have come.
    Preface(u8),
    /// So many bytes of a frame's head have come.
    Head([u8; HEAD_BYTES], u8),
    /// A payload that is handled as a whole.
    Payload(FrameHead),
    /// The length of a DATA frame's padding is awaited.
    Padding(FrameHead),
    /// So many bytes of data are to come, then so many of padding.
    Data { stream: u32, data: u32, padding: u8, end: bool },
    /// So many bytes that nobody wants.
    Skip(u32),
    /// Nothing is read any more.
    Failed,
}

impl Reading {
    /// Between two frames.
    pub(crate) const NEXT: Self = Self::Head([0; HEAD_BYTES], 0);

    pub(crate) fn is_between(self) -> bool {
        matches!(self, Self::Head(_, 0) | Self::Failed)
    }
}

/// What did not come whole.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// A frame's payload.
    pub(crate) payload: Vec<u8>,
    /// A header block, whose end is awaited.
    pub(crate) block: Option<Block>,
}

/// A header block in the making (RFC 9113 §4.3).
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) stream: u32,
    pub(crate) end_stream: bool,
    pub(crate) depends_on: Option<u32>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) continuations: u8,
}

impl Gather {
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.payload.capacity() + self.block.as_ref().map_or(0, |block| block.bytes.capacity())
    }
}
