//! What is kept for single flows: pins in away slots, UDP sessions, fragments under way.
//!
//! `PINS` (hash, [`FlowKey`] -> [`Pin`]) is written for SYNs in away slots only and never evicts; userspace deletes what is over.
//! `SESSIONS` (LRU hash, [`FlowKey`] -> [`Session`]) is for UDP services with `session_s`; `FRAGMENTS` (LRU hash, [`FragmentKey`] ->
//! [`Fragment`]) is shared by all CPUs, since the pieces of one packet may come to several.

use crate::Address;

/// A flow, as it looks from the client's side.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// The client's port, in network order.
    pub source_port: u16,
    /// The VIP's port, in network order.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 3],
}

/// The owner of a flow that began while its slot was away.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// The backend's number.
    pub backend: u32,
    /// The slot's episode at the time.
    pub episode: u32,
    /// Its last packet, seconds since boot; written anew at most every [`Self::REFRESH_S`].
    pub seen_s: u32,
    /// Bits of [`pin_flags`].
    pub flags: u32,
}

impl Pin {
    /// How old `seen_s` becomes before a packet writes it anew.
    pub const REFRESH_S: u32 = 8;
}

/// Bits of [`Pin::flags`].
pub mod pin_flags {
    /// Something other than a SYN was seen: the client exists.
    pub const CONFIRMED: u32 = 1;
}

/// The owner of a UDP session.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The backend's number.
    pub backend: u32,
    /// Its last packet, seconds since boot; written anew when a quarter of the session's time is over.
    pub seen_s: u32,
}

/// One fragmented packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// The packet's identification, as it stands there (IPv4: in the low half).
    pub identification: u32,
    /// IP protocol number of the whole packet.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 3],
}

/// What the first fragment said.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The client's port, in network order.
    pub source_port: u16,
    /// The VIP's port, in network order.
    pub destination_port: u16,
    /// The backend that it went to.
    pub backend: u32,
}

/// Bits of TCP's flags byte.
pub mod tcp_flags {
    /// No more data.
    pub const FIN: u8 = 1;
    /// A new connection.
    pub const SYN: u8 = 2;
    /// The connection is no more.
    pub const RST: u8 = 4;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

const _: () = assert!(size_of::<FlowKey>() == 40 && size_of::<FragmentKey>() == 40);
const _: () = assert!(size_of::<Pin>() == 16 && size_of::<Session>() == size_of::<Fragment>() && size_of::<Fragment>() == 8);
