//! What is to be sent on one connection: small things are written into one growing tail, large ones stay the chunks they came in.

use alloc::vec::Vec;
use core::mem::take;

use crate::Chunk;

/// Data up to this many bytes is copied behind the head it follows: one `send` of one piece beats `sendmsg` of two.
pub const COPY_MAX: usize = 2048;

/// An ordered queue of pieces. Codecs write to it, a stream sends it.
#[derive(Default, Debug)]
pub struct Output {
    pieces: Vec<Chunk>,
    tail: Vec<u8>,
    /// Bytes in `pieces`.
    length: usize,
}

impl Output {
    /// The growing tail: append only.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends `bytes` by copying.
    pub fn write(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a chunk, as it is when it is large.
    pub fn push(&mut self, chunk: Chunk) {
        if chunk.len() <= COPY_MAX {
            self.tail.extend_from_slice(&chunk);
        } else {
            self.close_tail();
            self.length += chunk.len();
            self.pieces.push(chunk);
        }
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.length + self.tail.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes `block` (cleared) the tail's memory when it has none: how a worker's spare blocks are reused.
    pub fn reuse(&mut self, mut block: Vec<u8>) {
        if self.tail.capacity() == 0 {
            block.clear();
            self.tail = block;
        }
    }

    /// Whether the tail owns memory already.
    pub fn has_block(&self) -> bool {
        self.tail.capacity() > 0
    }

    /// Everything that waits, as pieces. `into` (empty) is used for its memory; nothing is kept here, so that an idle connection owns no list.
    pub fn take(&mut self, mut into: Vec<Chunk>) -> Vec<Chunk> {
        self.length = 0;
        if !self.pieces.is_empty() {
            into = take(&mut self.pieces);
        }
        if !self.tail.is_empty() {
            into.push(Chunk::from(take(&mut self.tail)));
        }
        into
    }

    /// Shows everything that waits, piece by piece, and forgets it.
    pub fn drain(&mut self, mut show: impl FnMut(&[u8])) {
        for piece in take(&mut self.pieces) {
            show(&piece);
        }
        show(&self.tail);
        self.clear();
    }

    /// Moves every leased piece to the heap; gives the bytes copied.
    pub fn move_to_heap(&mut self) -> usize {
        self.pieces.iter_mut().map(Chunk::move_to_heap).sum()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.length += self.tail.len();
            self.pieces.push(Chunk::from(take(&mut self.tail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pieces: &[Chunk]) -> Vec<u8> {
        pieces.iter().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn order_is_kept_and_small_things_are_one_piece() {
        let mut output = Output::default();
        output.write(b"head ");
        output.push(Chunk::from("small "));
        let large = Chunk::from(alloc::vec![b'x'; COPY_MAX + 1]);
        output.push(large.clone());
        output.write(b" end");
        assert_eq!(output.len(), 11 + COPY_MAX + 1 + 4);
        let pieces = output.take(Vec::new());
        assert_eq!(pieces.len(), 3);
        assert_eq!(bytes(&pieces), [&b"head small "[..], &large[..], b" end"].concat());
        assert!(output.is_empty());
        output.write(b"again");
        assert_eq!(bytes(&output.take(Vec::with_capacity(4))), b"again");
        assert_eq!(output.pieces.capacity() + output.tail.capacity(), 0, "nothing is kept");
        output.push(large.clone());
        output.write(b"end");
        let mut shown = Vec::new();
        output.drain(|piece| shown.extend_from_slice(piece));
        assert_eq!(shown, [&large[..], b"end"].concat());
        assert!(output.is_empty());
    }
}
