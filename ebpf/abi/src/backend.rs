//! Backends: where packets go. `BACKENDS` (array) is indexed by the number that slots, pins and sessions hold; 0 is none.
//!
//! A number is not used again while a slot, an away record, a pin or a session may hold it.

use crate::{Address, Mac};

/// One origin of one cluster, and the next hop to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// Its address: the envelope's destination, or the new destination of NAT. Its family is the outer family.
    pub address: Address,
    /// The interface to send by; 0: back out of the one that the packet came in by.
    pub interface: u32,
    /// The next hop's MAC (the origin's own for `via: l2`); all zero: the kernel is asked for the route and neighbour of each packet.
    pub mac: Mac,
    /// The MAC to send from; all zero: the one that the packet came to.
    pub source_mac: Mac,
    /// NAT: the origin's port in network order; 0 keeps the packet's.
    pub port: u16,
    /// Bytes of the largest IP packet on the way to it, envelope included; 0 is 1500.
    pub mtu: u16,
    /// Bits of [`backend_flags`].
    pub flags: u32,
}

/// Bits of [`Backend::flags`].
pub mod backend_flags {
    /// Health checks say it is down.
    pub const DOWN: u32 = 1;
    /// It takes no new connections: drained or leaving.
    pub const DRAINING: u32 = 2;
}

const _: () = assert!(size_of::<Backend>() == 40);
