//! A counted slice of bytes: cheap to clone and to cut, read-only, never copied on its way from one socket to another.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::Cell, fmt, ops::Deref};

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
    /// The buffer, and whether another chunk may see the same bytes. Never unset: chunks that were cut apart are alone with theirs.
    Lease(Rc<Arena>, u16, Cell<bool>),
}

impl Chunk {
    /// The bytes `start..end` of a buffer, which no other chunk may see.
    pub(crate) fn leased(arena: Rc<Arena>, index: u16, start: u32, end: u32) -> Self {
        Self { home: Home::Lease(arena, index, Cell::new(false)), start, end }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.home {
            Home::Nowhere => &[],
            Home::Heap(block) => &block[self.start as usize..self.end as usize],
            Home::Lease(arena, index, _) => arena.bytes(*index, self.start, self.end),
        }
    }

    /// The bytes to write over in place, when no other chunk can see them: a lease that was never cloned (cutting is no cloning), or the
    /// only chunk of its heap block.
    #[expect(unsafe_code, reason = "received bytes are decrypted where the kernel wrote them")]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.home {
            Home::Heap(block) => Rc::get_mut(block).map(|block| &mut block[self.start as usize..self.end as usize]),
            // SAFETY: this chunk is borrowed exclusively, and no other chunk holds any of its bytes: each lease begins as the only one of
            // its range, a clone marks both as shared for good, and a cut gives ranges that do not overlap.
            Home::Lease(arena, index, shared) if !shared.get() => Some(unsafe { arena.bytes_mut(*index, self.start, self.end) }),
            Home::Nowhere | Home::Lease(..) => None,
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
        let first = Self { home: self.home.beside(), start: self.start, end: middle };
        self.start = middle;
        first
    }

    /// Forgets all but the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        if count == 0 {
            *self = Self::default();
        } else if count < self.len() {
            self.end = self.start + u32::try_from(count).unwrap_or(u32::MAX);
        }
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
        part.truncate(end.saturating_sub(start));
        part
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
        if let Home::Lease(_, _, shared) = &self.home {
            shared.set(true);
        }
        Self { home: self.home.beside(), start: self.start, end: self.end }
    }
}

impl Home {
    /// The same home for one more chunk.
    fn beside(&self) -> Self {
        match self {
            Self::Nowhere => Self::Nowhere,
            Self::Heap(block) => Self::Heap(Rc::clone(block)),
            Self::Lease(arena, index, shared) => {
                arena.retain(*index);
                Self::Lease(Rc::clone(arena), *index, shared.clone())
            }
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Home::Lease(arena, index, _) = &self.home {
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
    fn only_who_is_alone_may_write() {
        let arena = Arena::new(1, 16);
        let index = arena.give().unwrap();
        arena.write(index, b"abcdefgh");
        let mut whole = arena.lease(index, 8);
        let mut first = whole.split_to(3);
        first.bytes_mut().unwrap().fill(b'1');
        whole.bytes_mut().unwrap()[..1].fill(b'2');
        assert_eq!((&first[..], &whole[..]), (&b"111"[..], &b"2efgh"[..]));
        let mut copy = whole.clone();
        assert!(whole.bytes_mut().is_none() && copy.bytes_mut().is_none(), "each sees what the other would write");
        assert!(copy.split_to(2).bytes_mut().is_none(), "a part of what is shared is shared");
        drop(copy);
        assert!(whole.bytes_mut().is_none(), "and stays so");
        assert!(first.slice(0, 1).bytes_mut().is_none());

        let mut heap = Chunk::from("hello");
        heap.truncate(4);
        heap.bytes_mut().unwrap().fill(b'x');
        let mut rest = heap.clone();
        assert!(rest.bytes_mut().is_none());
        assert_eq!(&heap[..], b"xxxx");
        drop(heap);
        assert!(rest.bytes_mut().is_some());
        rest.truncate(0);
        assert!(rest.is_empty() && rest.bytes_mut().is_none());
    }

    #[test]
    fn a_chunk_is_three_words() {
        assert_eq!(size_of::<Chunk>(), 24);
    }
}
