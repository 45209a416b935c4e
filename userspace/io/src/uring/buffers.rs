//! The ring of receive buffers that the kernel picks from (`IORING_REGISTER_PBUF_RING`), over an [`Arena`].

use buf::{Arena, Chunk};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering},
};
use io_uring::{IoUring, cqueue, types::BufRingEntry};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    cell::Cell,
    rc::Rc,
};

use crate::Errno;

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;
/// `IOU_PBUF_RING_INC`: a buffer is consumed bit by bit (kernel 6.12).
const INCREMENTAL: u16 = 2;
/// Bytes of a buffer that is consumed bit by bit.
const INCREMENTAL_BYTES: u32 = 64 * 1024;
/// Bytes of a buffer that one reception uses up.
const SINGLE_BYTES: u32 = 16 * 1024;
/// Of buffers that are consumed bit by bit, the kernel is given this many at a time, those that came back last: what a turn receives then
/// fits a core's own cache until it has been encrypted and sent. (What one reception uses up it is given whole: small ones take as many.)
const AHEAD: u16 = 4;

pub(super) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    layout: Layout,
    arena: Rc<Arena>,
    count: u16,
    tail: Cell<u16>,
    /// Buffers that are the kernel's to fill, as far as its completions were seen.
    given: Cell<u16>,
    /// How many may be at a time.
    ahead: u16,
    incremental: bool,
}

impl BufferRing {
    pub(super) fn register(ring: &IoUring, arena_bytes: u32, incremental: bool) -> std::io::Result<Self> {
        let bytes = if incremental { INCREMENTAL_BYTES } else { SINGLE_BYTES };
        let count = u16::try_from((arena_bytes / bytes).max(2).next_power_of_two()).unwrap_or(1 << 15).min(1 << 15);
        let layout = Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), 4096).map_err(std::io::Error::other)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        #[expect(clippy::cast_ptr_alignment, reason = "the layout asks for a page")]
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else { handle_alloc_error(layout) };
        let (arena, ahead) = (Arena::new(count, bytes), if incremental { AHEAD.min(count) } else { count });
        let buffers = Self { entries, layout, arena, count, tail: Cell::new(0), given: Cell::new(0), ahead, incremental };
        let flags = if incremental { INCREMENTAL } else { 0 };
        // SAFETY: the entries live as long as the ring: `Uring` drops its ring first.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, count, GROUP, flags) }?;
        buffers.give_back();
        Ok(buffers)
    }

    /// Whether a reception would find a buffer: the kernel has some, or is about to get them. (Without `DEFER_TASKRUN` one may have failed for
    /// want of buffers before the last were given, and be heard of only after.)
    pub(super) fn has_some(&self) -> bool {
        self.given.get() > 0 || self.arena.has_returned()
    }

    /// Gives returned buffers to the kernel, as many as it may have.
    pub(super) fn give_back(&self) {
        let before = self.tail.get();
        while self.given.get() < self.ahead
            && let Some(index) = self.arena.give()
        {
            let at = self.tail.get() & (self.count - 1);
            // SAFETY: `at` is below `count`, the number of entries allocated.
            let mut entry = unsafe { self.entries.add(usize::from(at)) };
            // SAFETY: the entry is ours until the tail passes it.
            let entry = unsafe { entry.as_mut() };
            entry.set_addr(self.arena.address(index) as u64);
            entry.set_len(self.arena.buffer_bytes());
            entry.set_bid(index);
            self.tail.set(self.tail.get().wrapping_add(1));
            self.given.set(self.given.get() + 1);
        }
        if before != self.tail.get() {
            // SAFETY: the tail lies in the first entry of a live ring.
            let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
            // SAFETY: aligned, live, and written by nobody else; the kernel reads it with acquire.
            let tail = unsafe { &*tail.cast::<AtomicU16>() };
            tail.store(self.tail.get(), Ordering::Release);
        }
    }

    /// Makes a Chunk of what the kernel has put into a buffer.
    pub(super) fn received(&self, result: Result<u64, Errno>, flags: u32) -> Result<Chunk, Errno> {
        let index = cqueue::buffer_select(flags);
        let length = u32::try_from(result?).unwrap_or(u32::MAX);
        let Some(index) = index else { return Ok(Chunk::default()) };
        let chunk = if length == 0 { Chunk::default() } else { self.arena.lease(index, length) };
        if !(self.incremental && cqueue::buffer_more(flags)) {
            self.arena.finished(index);
            self.given.set(self.given.get() - 1);
        }
        Ok(chunk)
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout; the ring that used it is gone.
        unsafe { dealloc(self.entries.as_ptr().cast::<u8>(), self.layout) };
    }
}
