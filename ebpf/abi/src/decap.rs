//! The envelope between us and our origins (GUE), and what the decapsulation program must know.
//!
//! A packet of a flow that has one owner travels in GUE variant 1: UDP, then IP at once. One whose owner is not certain travels in variant 0
//! with private data: [`Candidates`], then that many addresses, which are tried in turn by origins that have no socket for it; each
//! origin passes on once, with itself taken out, and the last keeps it.

use crate::{ALTERNATES_MAX, Address};

/// The UDP port of GUE, in this machine's order.
pub const GUE_PORT: u16 = 6080;

/// The first byte of our private data.
pub const GUE_PRIVATE_KIND: u8 = 0x51;

/// Variant 0 of GUE's header (four bytes, the fields as they stand in the packet).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GueHeader {
    /// Version (2 bits), control (1 bit), length of what follows this header in words of four bytes (5 bits).
    pub version_length: u8,
    /// The IP protocol of what is inside: 4 or 41.
    pub protocol: u8,
    /// Flags: none is known to us; the private data has bit 15.
    pub flags: u16,
}

/// The head of our private data; addresses follow it: 4 bytes each under IPv4, 16 under IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// [`GUE_PRIVATE_KIND`].
    pub kind: u8,
    /// How many addresses follow, at most [`Self::MAX`].
    pub count: u8,
    /// Zero.
    pub padding: u16,
}

impl Candidates {
    /// The fallback and the alternates.
    pub const MAX: usize = ALTERNATES_MAX + 1;
}

/// `DECAP`, an array of one: what an origin's decapsulation accepts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecapSettings {
    /// [`crate::LAYOUT`].
    pub layout: u32,
    /// This origin's own IPv4 address: only envelopes to it are opened, and what is passed on comes from it.
    pub own_v4: Address,
    /// This origin's own IPv6 address.
    pub own_v6: Address,
}

const _: () = assert!(size_of::<GueHeader>() == 4 && size_of::<Candidates>() == 4 && size_of::<DecapSettings>() == 36);
