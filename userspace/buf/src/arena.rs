//! The buffers the kernel receives into. Each is owned by the kernel until it is full or taken back, then by the [`Chunk`]s leased from it;
//! when the last of them drops, the buffer stands in the returned list and the ring gives it to the kernel again.
//!
//! One buffer may hold several receptions one after another (incremental consumption, kernel 6.12): `filled` is the mark below which
//! bytes have been leased and above which only the kernel writes. That mark is what makes the `unsafe` blocks here sound.

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell, UnsafeCell};

use crate::Chunk;

/// The step at which memory is touched.
const PAGE_BYTES: usize = 4096;

/// A fixed set of equal receive buffers, and who holds them.
pub struct Arena {
    memory: Box<[UnsafeCell<u8>]>,
    buffer_bytes: u32,
    buffers: Box<[Buffer]>,
    returned: RefCell<Vec<u16>>,
    leased: Cell<u32>,
}

#[derive(Default)]
struct Buffer {
    /// Bytes already leased out of it since the kernel got it.
    filled: Cell<u32>,
    /// Chunks alive, plus one while the kernel owns it.
    holders: Cell<u32>,
}

impl Arena {
    /// `buffers` of `buffer_bytes` each; all of them stand in the returned list, ready for the kernel.
    ///
    /// # Panics
    /// When the two multiply beyond the address space: a start-up error, never reached by traffic.
    pub fn new(buffers: u16, buffer_bytes: u32) -> Rc<Self> {
        let bytes = usize::from(buffers).checked_mul(buffer_bytes as usize).expect("an arena fits the address space");
        let mut memory = Vec::with_capacity(bytes);
        memory.resize_with(bytes, || UnsafeCell::new(0));
        // Touched now, by the thread that will use it, and not page by page under traffic. (Zeroes alone would be the kernel's untouched ones.)
        memory.iter_mut().step_by(PAGE_BYTES).for_each(|cell| *core::hint::black_box(cell.get_mut()) = 1);
        Rc::new(Self {
            memory: memory.into_boxed_slice(),
            buffer_bytes,
            buffers: (0..buffers).map(|_| Buffer::default()).collect(),
            returned: RefCell::new((0..buffers).collect()),
            leased: Cell::new(0),
        })
    }

    /// Bytes of one buffer.
    pub fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// How many buffers there are.
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// How many chunks are leased right now.
    pub fn leased(&self) -> u32 {
        self.leased.get()
    }

    /// Where buffer `index` begins, for the kernel to write through.
    pub fn address(&self, index: u16) -> *mut u8 {
        self.memory[usize::from(index) * self.buffer_bytes as usize].get()
    }

    /// Whether some buffer waits for the kernel.
    pub fn has_returned(&self) -> bool {
        !self.returned.borrow().is_empty()
    }

    /// Takes one buffer that nobody holds and marks it the kernel's.
    pub fn give(&self) -> Option<u16> {
        let index = self.returned.borrow_mut().pop()?;
        let buffer = &self.buffers[usize::from(index)];
        buffer.filled.set(0);
        buffer.holders.set(1);
        Some(index)
    }

    /// The next `length` bytes of buffer `index`, which the kernel has just filled.
    ///
    /// # Panics
    /// When the kernel claims more than the buffer holds: memory would be at risk, so the process must not go on.
    pub fn lease(self: &Rc<Self>, index: u16, length: u32) -> Chunk {
        let buffer = &self.buffers[usize::from(index)];
        let start = buffer.filled.get();
        let end = start.checked_add(length).filter(|end| *end <= self.buffer_bytes).expect("the kernel stays inside its buffer");
        buffer.filled.set(end);
        buffer.holders.set(buffer.holders.get() + 1);
        self.leased.set(self.leased.get() + 1);
        Chunk::leased(Rc::clone(self), index, start, end)
    }

    /// The kernel will not write to buffer `index` any more.
    pub fn finished(&self, index: u16) {
        self.release(index);
    }

    /// Writes where the kernel would write next: the simulation's half of [`Arena::lease`]. Gives the bytes that fitted.
    #[expect(unsafe_code, reason = "the simulation plays the kernel, which writes through a pointer")]
    pub fn write(&self, index: u16, bytes: &[u8]) -> u32 {
        let filled = self.buffers[usize::from(index)].filled.get();
        let room = (self.buffer_bytes - filled) as usize;
        let length = room.min(bytes.len());
        if length == 0 {
            return 0;
        }
        let start = usize::from(index) * self.buffer_bytes as usize + filled as usize;
        let target = self.memory[start..start + length].as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the range was just bounds-checked, every byte of it is an UnsafeCell, and it lies above `filled`, where no Chunk reads.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, length) };
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    #[expect(unsafe_code, reason = "received bytes are read where the kernel wrote them")]
    pub(crate) fn bytes(&self, index: u16, start: u32, end: u32) -> &[u8] {
        debug_assert!(end <= self.buffers[usize::from(index)].filled.get(), "only leased bytes are read");
        let base = usize::from(index) * self.buffer_bytes as usize;
        let cells = &self.memory[base + start as usize..base + end as usize];
        // SAFETY: bounds-checked above; the bytes lie below `filled`, which neither the kernel nor `write` touches while a holder lives.
        unsafe { core::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
    }

    /// The leased bytes `start..end` of a buffer, to be written over.
    ///
    /// # Safety
    /// Nobody else may read or write these bytes while the slice lives.
    #[expect(unsafe_code, reason = "received bytes are decrypted where the kernel wrote them")]
    #[expect(clippy::mut_from_ref, reason = "every byte is an UnsafeCell; the caller answers for the range")]
    pub(crate) unsafe fn bytes_mut(&self, index: u16, start: u32, end: u32) -> &mut [u8] {
        debug_assert!(end <= self.buffers[usize::from(index)].filled.get(), "only leased bytes are written over");
        let base = usize::from(index) * self.buffer_bytes as usize;
        let cells = &self.memory[base + start as usize..base + end as usize];
        // SAFETY: bounds-checked above, every byte is an UnsafeCell, the kernel writes above `filled` only, and the caller answers for the rest.
        unsafe { core::slice::from_raw_parts_mut(cells.as_ptr().cast::<u8>().cast_mut(), cells.len()) }
    }

    pub(crate) fn retain(&self, index: u16) {
        let buffer = &self.buffers[usize::from(index)];
        buffer.holders.set(buffer.holders.get() + 1);
        self.leased.set(self.leased.get() + 1);
    }

    pub(crate) fn drop_lease(&self, index: u16) {
        self.leased.set(self.leased.get() - 1);
        self.release(index);
    }

    fn release(&self, index: u16) {
        let holders = &self.buffers[usize::from(index)].holders;
        holders.set(holders.get() - 1);
        if holders.get() == 0 {
            self.returned.borrow_mut().push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_kernel_and_chunks_are_done() {
        let arena = Arena::new(1, 8);
        let index = arena.give().unwrap();
        assert!(arena.give().is_none(), "the only buffer is the kernel's");
        assert_eq!(arena.write(index, b"abc"), 3);
        let first = arena.lease(index, 3);
        assert_eq!(arena.write(index, b"defghijk"), 5);
        let second = arena.lease(index, 5);
        assert_eq!((&first[..], &second[..]), (&b"abc"[..], &b"defgh"[..]));
        arena.finished(index);
        drop(first);
        assert!(arena.give().is_none(), "one chunk still reads it");
        drop(second);
        assert_eq!(arena.leased(), 0);
        assert_eq!(arena.give(), Some(index));
    }

    #[test]
    #[should_panic(expected = "the kernel stays inside its buffer")]
    fn a_lying_kernel_stops_the_process() {
        let arena = Arena::new(1, 8);
        let index = arena.give().unwrap();
        drop(arena.lease(index, 9));
    }
}
