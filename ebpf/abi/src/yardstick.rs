//! What the bench of the kernel layer (`cargo xtask bench l4`) says to its programs (`bin/yardstick`). No part of the product's layout.

/// Which packets are drawn: `DRAW`, an array of one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// Where the sequence of draws stands.
    pub state: u64,
    /// Packets are drawn among so many flows; 0 is all there are.
    pub flows: u32,
    /// TCP's flags byte.
    pub tcp_flags: u32,
    /// Bits of the source address that are always clear, in this machine's order.
    pub clear: u32,
    /// Bits of the source address that are always set, in this machine's order.
    pub set: u32,
}

/// One draw of a sequence: any bits, all different for different states (`splitmix64`).
#[inline(always)]
pub const fn drawn(state: u64) -> u64 {
    let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// From one state of the sequence to the next.
pub const DRAW_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many connections the reference design remembers.
pub const REFERENCE_CONNECTIONS: u32 = 1 << 20;

/// What the reference design remembers of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The backend's number.
    pub backend: u32,
    /// Zero.
    pub padding: u32,
    /// When it was last seen: written for UDP in designs of this kind, zero here.
    pub seen_ns: u64,
}

const _: () = assert!(size_of::<Draw>() == 24 && size_of::<Connection>() == 16);
