//! A counted slice of bytes: cheap to clone and to cut, read-only, never copied on its way from one socket to another.

use alloc::{rc::Rc, vec::Vec};
use core::{fmt, ops::Deref};

use crate::Arena;

/// A slice of a leased receive buffer or of a heap block.
#[derive(Default)]
pub struct Chunk {
    home: Home,
    start: u32,
    end: u32,
}

#[derive(Default)]
enum Home {
    #[default]
    Nowhere,
    Heap(Rc<Vec<u8>>),
    Lease(Rc<Arena>, u16),
}

impl Chunk {
    pub(crate) fn leased(arena: Rc<Arena>, index: u16, start: u32, end: u32) -> Self {
        Self { home: Home::Lease(arena, index), start, end }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.home {
            Home::Nowhere => &[],
            Home::Heap(block) => &block[self.start as usize..self.end as usize],
            Home::Lease(arena, index) => arena.bytes(*index, self.start, self.end),
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether it stands in a receive buffer, which must not be kept beyond the turn.
    pub fn is_leased(&self) -> bool {
        matches!(self.home, Home::Lease(..))
    }

    /// Cuts the first `count` bytes off and gives them (all of them, if there are fewer).
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        if count >= self.len() {
            return core::mem::take(self);
        }
        let middle = self.start + u32::try_from(count).unwrap_or(u32::MAX);
        let mut first = self.clone();
        first.end = middle;
        self.start = middle;
        first
    }

    /// Forgets the first `count` bytes (all of them, if there are fewer). An emptied chunk lets its buffer go.
    pub fn advance(&mut self, count: usize) {
        if count >= self.len() {
            *self = Self::default();
        } else {
            self.start += u32::try_from(count).unwrap_or(u32::MAX);
        }
    }

    /// The bytes `start..end` of this one, sharing its home. Bounds beyond the end are cut to it.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let mut part = self.clone();
        part.advance(start);
        part.split_to(end.saturating_sub(start))
    }

    /// A copy on the heap.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }

    /// Gives up a lease by copying to the heap; a heap chunk stays what it is. Gives the bytes copied.
    pub fn move_to_heap(&mut self) -> usize {
        if !self.is_leased() {
            return 0;
        }
        *self = Self::copy_of(self);
        self.len()
    }

    /// The block behind it for reuse, if nobody else holds it.
    pub fn into_block(mut self) -> Option<Vec<u8>> {
        if !matches!(self.home, Home::Heap(_)) {
            return None;
        }
        match core::mem::take(&mut self.home) {
            Home::Heap(block) => Rc::try_unwrap(block).ok(),
            Home::Nowhere | Home::Lease(..) => None,
        }
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        let home = match &self.home {
            Home::Nowhere => Home::Nowhere,
            Home::Heap(block) => Home::Heap(Rc::clone(block)),
            Home::Lease(arena, index) => {
                arena.retain(*index);
                Home::Lease(Rc::clone(arena), *index)
            }
        };
        Self { home, start: self.start, end: self.end }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Home::Lease(arena, index) = &self.home {
            arena.drop_lease(*index);
        }
    }
}

impl From<Vec<u8>> for Chunk {
    /// # Panics
    /// Above 4 GiB, which no limit of ours allows.
    fn from(block: Vec<u8>) -> Self {
        let end = u32::try_from(block.len()).expect("a block is far below 4 GiB");
        if end == 0 { Self::default() } else { Self { home: Home::Heap(Rc::new(block)), start: 0, end } }
    }
}

impl From<&str> for Chunk {
    fn from(text: &str) -> Self {
        Self::copy_of(text.as_bytes())
    }
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}
impl Eq for Chunk {}

impl fmt::Debug for Chunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_shares_and_never_copies() {
        let mut whole = Chunk::from("hello world");
        let first = whole.split_to(5);
        whole.advance(1);
        assert_eq!((&first[..], &whole[..]), (&b"hello"[..], &b"world"[..]));
        assert_eq!(&whole.slice(1, 3)[..], b"or");
        assert!(whole.slice(9, 12).is_empty());
        drop(first);
        assert_eq!(whole.split_to(99).into_block().unwrap(), b"hello world");
        assert!(whole.is_empty());
    }

    #[test]
    fn moving_to_the_heap_gives_the_lease_back() {
        let arena = Arena::new(1, 16);
        let index = arena.give().unwrap();
        arena.write(index, b"abcdef");
        let mut chunk = arena.lease(index, 6);
        let mut copy = chunk.clone();
        arena.finished(index);
        assert!(chunk.clone().into_block().is_none(), "a lease has no block, and must still be given back");
        assert_eq!((chunk.move_to_heap(), copy.move_to_heap(), chunk.move_to_heap()), (6, 6, 0));
        assert_eq!(arena.leased(), 0);
        assert_eq!(arena.give(), Some(index));
        assert_eq!(chunk, copy);
    }

    #[test]
    fn a_chunk_is_three_words() {
        assert_eq!(size_of::<Chunk>(), 24);
    }
}
