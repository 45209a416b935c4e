//! Where the bytes of a section stand: httparse cuts names and values out of them, and what is kept points into one block on the heap.

use buf::Chunk;
use model::{Span, Text};

/// The bytes httparse cut its findings out of, and the block that everything kept of them points into: the same bytes, on the heap.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) block: Chunk,
}

impl<'a> Source<'a> {
    pub(crate) fn copy_of(bytes: &'a [u8]) -> Self {
        Self { bytes, block: Chunk::copy_of(bytes) }
    }

    pub(crate) fn block(block: &'a Chunk) -> Self {
        Self { bytes: block, block: block.clone() }
    }

    /// Where `part`, which is cut out of the bytes, stands in them.
    pub(crate) fn span(&self, part: &[u8]) -> Span {
        let start = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        let start = if part.is_empty() { 0 } else { start };
        debug_assert!(start + part.len() <= self.bytes.len(), "httparse gives slices of what it was given");
        Span { start: u32::try_from(start).unwrap_or(u32::MAX), length: u32::try_from(part.len()).unwrap_or(0) }
    }

    /// What is kept of a span.
    pub(crate) fn at(&self, span: Span) -> Text {
        self.block.slice(span.start as usize, span.start as usize + span.length as usize)
    }

    /// What is kept of `part`, which is cut out of the bytes.
    pub(crate) fn cut(&self, part: &[u8]) -> Text {
        self.at(self.span(part))
    }
}
