//! Network address translation.
//!
//! `ORIGINS` (hash, [`OriginKey`] -> [`Origin`]) is the way back of `nat: { snat: none }`: an origin's address and port say which VIP its
//! answers come from, so no flow is kept; two VIPs of this mode cannot share an origin's port.
//! Full NAT keeps each flow twice: `NAT_FLOWS` (hash, [`crate::FlowKey`] -> [`NatFlow`]) and, for the way back, `NAT_BACK` (hash,
//! [`PoolKey`] -> [`crate::FlowKey`]). The ports of a pool's address are partitioned between nodes: [`PoolAddress`] holds this node's.

use crate::Address;

/// An origin, as its answers show it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OriginKey {
    /// The origin.
    pub address: Address,
    /// Its port, in network order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: u8,
}

/// The VIP that an origin answers for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The VIP's address of the origin's family.
    pub vip: Address,
    /// The VIP's port, in network order; 0 keeps the packet's.
    pub port: u16,
    /// Zero.
    pub padding: u16,
    /// The service, for its counters.
    pub service: u32,
}

/// One address of a pool with this node's ports, in this machine's order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolAddress {
    /// What origins see as the client.
    pub address: Address,
    /// The first port.
    pub port_first: u16,
    /// The last port.
    pub port_last: u16,
}

/// A flow of full NAT, as the origin's answers show it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The origin.
    pub origin: Address,
    /// The pool's address.
    pub pool: Address,
    /// The origin's port, in network order.
    pub origin_port: u16,
    /// The pool's port, in network order.
    pub pool_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 3],
}

/// What full NAT makes of a client's flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatFlow {
    /// The pool's address.
    pub pool: Address,
    /// The backend's number.
    pub backend: u32,
    /// Its last packet in either direction, seconds since boot; written anew at most every [`crate::Pin::REFRESH_S`].
    pub seen_s: u32,
    /// The pool's port, in network order.
    pub pool_port: u16,
    /// The origin's port, in network order.
    pub origin_port: u16,
    /// Bits of [`crate::tcp_flags`] that were seen in either direction: FIN, RST.
    pub tcp: u32,
}

const _: () = assert!(size_of::<OriginKey>() == 20 && size_of::<Origin>() == 24 && size_of::<PoolAddress>() == 20);
const _: () = assert!(size_of::<PoolKey>() == 40 && size_of::<NatFlow>() == 32);
