//! The packet: the only place that touches its memory.
//!
//! Headers are copied out and written back whole; the compiler loads only the fields that are used. Every access fetches the packet's
//! bounds anew, so that nothing here can outlive a move of its head.
#![expect(unsafe_code, reason = "packet memory is raw memory; every access is checked against its end here and nowhere else")]

use crate::checksum::Sum;
use crate::verdict::{Step, Verdict};
use crate::wire::Wire;
use abi::Reason;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers;
use core::ptr;

/// One packet in the hands of a program.
pub struct Packet {
    context: *mut xdp_md,
}

/// The first bytes of a frame, checked against its end once. No good any more when the head has moved: the verifier sees to that.
#[derive(Clone, Copy)]
pub struct Front<const BYTES: usize> {
    start: *mut u8,
}

impl<const BYTES: usize> Front<BYTES> {
    /// A copy of what stands at `OFFSET`.
    #[inline(always)]
    pub fn read<T: Wire, const OFFSET: usize>(self) -> T {
        // SAFETY: as in `Packet::read`.
        unsafe { self.place::<T, OFFSET>().read() }
    }

    /// Write `value` at `OFFSET`.
    #[inline(always)]
    pub fn write<T: Wire, const OFFSET: usize>(self, value: T) {
        // SAFETY: as in `Packet::read`.
        unsafe { self.place::<T, OFFSET>().write(value) };
    }

    #[inline(always)]
    fn place<T, const OFFSET: usize>(self) -> *mut T {
        const { assert!(OFFSET + size_of::<T>() <= BYTES) };
        // SAFETY: within the bytes that were checked.
        unsafe { self.start.add(OFFSET) }.cast()
    }
}

/// No header that we look at begins beyond this; as a mask it also tells the verifier.
const OFFSET_MASK: usize = 0x3ff;

impl Packet {
    /// The packet of one run.
    #[inline(always)]
    pub fn new(context: *mut xdp_md) -> Self {
        Self { context }
    }

    /// The kernel's own handle, for helpers.
    #[inline(always)]
    pub fn context(&self) -> *mut xdp_md {
        self.context
    }

    /// A copy of what stands at `offset`; the end of the packet before that is [`Reason::Truncated`].
    #[inline(always)]
    pub fn read<T: Wire>(&self, offset: usize) -> Step<T> {
        let place = self.place::<T>(offset)?;
        // SAFETY: within the packet, and any bytes are a T. Where it stands at an odd address: the kernel lets programs do so where the
        // machine does, and the compiler would load single bytes if it were told.
        Ok(unsafe { place.read() })
    }

    /// Write `value` at `offset`.
    #[inline(always)]
    pub fn write<T: Wire>(&self, offset: usize, value: T) -> Step<()> {
        let place = self.place::<T>(offset)?;
        // SAFETY: as in `read`.
        unsafe { place.write(value) };
        Ok(())
    }

    /// The first `BYTES` bytes, when there are as many.
    #[inline(always)]
    pub fn front<const BYTES: usize>(&self) -> Option<Front<BYTES>> {
        let (start, end) = self.bounds();
        if start + BYTES > end { None } else { Some(Front { start: start as *mut u8 }) }
    }

    /// Are there `bytes` bytes of frame?
    #[inline(always)]
    pub fn holds(&self, bytes: usize) -> bool {
        let (start, end) = self.bounds();
        // A difference of pointers is a number, which needs no bounds that a kernel might have lost sight of. What is not in the first buffer is
        // in the next ones: rare, so it is asked last.
        end - start >= bytes || self.length() >= bytes
    }

    /// The frame's whole length, all its buffers.
    #[inline(always)]
    pub fn length(&self) -> usize {
        // SAFETY: a live context.
        let length = unsafe { helpers::bpf_xdp_get_buff_len(self.context) };
        length as usize
    }

    /// The interface it came in by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: a live context.
        unsafe { (*self.context).ingress_ifindex }
    }

    /// Make room for `bytes` in front.
    #[inline(always)]
    pub fn grow(&self, bytes: usize) -> Step<()> {
        self.move_head(-(bytes as i32))
    }

    /// Cut the frame off after `bytes` bytes; it has at least as many.
    #[inline(always)]
    pub fn cut(&self, bytes: usize) -> Step<()> {
        let surplus = bytes as i32 - self.length() as i32;
        // SAFETY: a live context; nobody keeps a pointer into the packet.
        let moved = unsafe { helpers::bpf_xdp_adjust_tail(self.context, surplus) };
        if moved == 0 { Ok(()) } else { Err(Verdict::drop(Reason::NoHeadroom)) }
    }

    /// The sum of `BYTES` bytes at `offset`; a multiple of four, at most 512.
    #[inline(always)]
    pub fn sum<const BYTES: usize>(&self, offset: usize) -> Step<Sum> {
        let place = self.place::<[u8; BYTES]>(offset)?;
        // SAFETY: within the packet.
        let sum = unsafe { helpers::bpf_csum_diff(ptr::null_mut(), 0, place.cast(), BYTES as u32, 0) };
        Ok(Sum::new().word(sum as u32))
    }

    /// Copy `bytes` bytes from `offset` on to memory of at least as many; false when there are not so many.
    #[inline(always)]
    pub fn load(&self, offset: usize, to: *mut u8, bytes: u32) -> bool {
        // SAFETY: a live context; the verifier holds us to the memory's end.
        unsafe { helpers::bpf_xdp_load_bytes(self.context, offset as u32, to.cast(), bytes) == 0 }
    }

    /// Take `bytes` away in front.
    #[inline(always)]
    pub fn shrink(&self, bytes: usize) -> Step<()> {
        self.move_head(bytes as i32)
    }

    #[inline(always)]
    fn move_head(&self, bytes: i32) -> Step<()> {
        // SAFETY: a live context; nobody keeps a pointer into the packet.
        let moved = unsafe { helpers::bpf_xdp_adjust_head(self.context, bytes) };
        if moved == 0 { Ok(()) } else { Err(Verdict::drop(Reason::NoHeadroom)) }
    }

    /// Where a `T` stands at `offset`, for helpers that want a pointer; good until the packet is changed.
    #[inline(always)]
    pub fn place<T>(&self, offset: usize) -> Step<*mut T> {
        let (start, end) = self.bounds();
        let at = start + (offset & OFFSET_MASK);
        if at + size_of::<T>() > end {
            return Err(Verdict::drop(Reason::Truncated));
        }
        Ok(at as *mut T)
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: a live context.
        let start = unsafe { (*self.context).data };
        // SAFETY: a live context.
        let end = unsafe { (*self.context).data_end };
        (start as usize, end as usize)
    }
}
