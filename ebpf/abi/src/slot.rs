//! Tables: from a flow's hash to its owner, and where a slot's owners were when it is not at home.
//!
//! `TABLES` is an array of arrays of [`SlotPair`], for `Settings::slots` slots each (an array's element takes eight bytes at least, and a table
//! of half the size stays in a CPU's own cache); a table is replaced by writing the outer entry, so that every packet
//! sees the old or the new. A slot at *home* says all in its four bytes: no other map is read or written for its packets.
//! A slot that is *away* has a record in `AWAY` (hash, [`AwayKey`] -> [`Away`]). Order of writing: new and changed records in, then the
//! slots, then stale records out. A record that is missing means: the slot's own owner, no pins.
//!
//! What a program does with a packet of an away slot, TCP:
//! - a SYN: when there is a pin for its flow, that pin becomes (`current`, `episode`) in place, which costs no budget, and the packet goes
//!   to `current`. Else, when `current == fallback` it goes there, without a pin. Else a pin is written within the budget and it goes to
//!   `current`; over the budget, or when the map is full, it goes to `fallback` unless that is none or DOWN, else to `current`; counted.
//! - any other: to the pin's backend when the pin is of this `episode`, else to `fallback` (or `current` when there is none).
//!   When that backend is DOWN and the service has `RESET`: to `current`.
//!
//! With `CHAIN` no pins are read or written: a SYN goes to `current`; any other too, and its header lists `fallback` and `alternates` up to
//! the first that is none, for an origin that has no socket for it. They must be of the outer family; an origin skips its own address.
//! UDP goes to `current`, unless the service has sessions.

use crate::limits;

/// The top bit of a slot: it is away.
pub const AWAY: u32 = 1 << 31;

/// The bits of a slot that hold its current owner, also when it is away.
pub const OWNER: u32 = AWAY - 1;

/// Owners of one time away that are neither the current one nor the fallback.
pub const ALTERNATES_MAX: usize = 3;

/// One slot of a table: `owner | AWAY?`; owner 0 is [`crate::NO_BACKEND`].
pub type Slot = u32;

/// Two slots side by side: those of an even number and of the next.
pub type SlotPair = [Slot; 2];

/// Elements of a table.
pub const SLOT_PAIRS: u32 = limits::SLOTS.div_ceil(2);

/// Where a slot's [`Away`] stands.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AwayKey {
    /// The table's number.
    pub table: u32,
    /// The slot's number.
    pub slot: u32,
}

/// The owners of a slot that is away. Each is a backend's number, 0 for none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Away {
    /// Who takes new connections.
    pub current: u32,
    /// Who owned the slot when it was last at home: the owner of every flow without a pin.
    pub fallback: u32,
    /// The other owners of this time away, most recent first; none after the first that is none.
    pub alternates: [u32; ALTERNATES_MAX],
    /// Counts the times this slot left home: pins of another episode are dead.
    pub episode: u32,
    /// When the last change came, seconds since boot: for userspace alone, so that a later process can go on.
    pub changed_s: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(size_of::<AwayKey>() == 8 && size_of::<Away>() == 32);
