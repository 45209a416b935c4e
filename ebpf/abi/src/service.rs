//! VIPs as the programs see them: from address, protocol and port to a service, and what that service does.
//!
//! `PORTS` (hash, [`PortKey`] -> service number, `u32`) has the exact ports. What is not in it is looked up in `ADDRESSES` (hash,
//! [`PortKey`] with port 0 -> [`Ports`]): ranges, and the service of packets whose ports nobody knows. An address and protocol with any
//! service at all must have its entry in `ADDRESSES`: it is how a later fragment is known to be ours. What is in neither goes to the stack.
//! Echo requests are looked up in `ADDRESSES` as protocol ICMP or `ICMPv6`, whose `portless` is a service of [`MODE_ECHO`].
//! `SERVICES` (array) holds the services; number 0 is none. Tables, services and backends are written before what leads to them.

use crate::{Address, NO_SERVICE};

/// An address with protocol and port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortKey {
    /// The VIP's address.
    pub address: Address,
    /// In network order; 0 in `ADDRESSES`.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub padding: u8,
}

impl PortKey {
    /// The key for a port in this machine's order.
    pub const fn new(address: Address, protocol: u8, port: u16) -> Self {
        Self { address, port: port.to_be(), protocol, padding: 0 }
    }
}

/// What an address and protocol have beside exact ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The service of packets without known ports (a later fragment whose first was not seen): that of the VIP when it hashes by source
    /// and all its ports are one service; else 0: they are dropped. For ICMP and `ICMPv6`: the echo service, or 0: the stack answers.
    pub portless: u32,
    /// How many of `ranges` are in use.
    pub count: u32,
    /// Disjoint ranges.
    pub ranges: [PortRange; Self::RANGES_MAX],
}

impl Ports {
    /// Ranges that one address and protocol may have.
    pub const RANGES_MAX: usize = 8;

    /// The service of a port in this machine's order, by ranges.
    #[inline(always)]
    pub fn service_of(&self, port: u16) -> u32 {
        for range in &self.ranges {
            if range.service != NO_SERVICE && range.first <= port && port <= range.last {
                return range.service;
            }
        }
        NO_SERVICE
    }
}

/// Ports `first..=last` in this machine's order, and their service.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// The service's number.
    pub service: u32,
}

/// What happens to the packets of one VIP's port (or range).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `MODE_*`.
    pub mode: u32,
    /// `VIA_*`, for [`MODE_DSR`].
    pub via: u32,
    /// Bits of [`service_flags`].
    pub flags: u32,
    /// Its cluster's table in `TABLES`.
    pub table: u32,
    /// UDP sessions live this many seconds after their last packet; 0 is no sessions.
    pub session_s: u32,
    /// The first of its pool's addresses in `POOL`, for [`MODE_NAT_POOL`].
    pub pool_first: u32,
    /// How many addresses its pool has.
    pub pool_count: u32,
    /// Zero.
    pub padding: u32,
}

/// Packets go to the origin as they are, inside an envelope or another MAC; it answers the client itself.
pub const MODE_DSR: u32 = 1;
/// The destination is rewritten; the origins' route back leads through this machine, where the source is rewritten again.
pub const MODE_NAT_GATEWAY: u32 = 2;
/// Both ends are rewritten: the origin sees an address of the pool.
pub const MODE_NAT_POOL: u32 = 3;
/// Packets go up to this machine's own listener, guards in front.
pub const MODE_TERMINATE: u32 = 4;
/// Echo requests are answered while [`service_flags::LIVES`] is set, else dropped.
pub const MODE_ECHO: u32 = 5;

/// A new destination MAC: origins stand in the same network and own the VIP.
pub const VIA_L2: u32 = 0;
/// IP in IP, the outer family that of the backend's address.
pub const VIA_IPIP: u32 = 1;
/// Generic UDP encapsulation.
pub const VIA_GUE: u32 = 2;

/// Bits of [`Service::flags`].
pub mod service_flags {
    /// The slot depends on the source address alone.
    pub const HASH_SOURCE: u32 = 1;
    /// `on_down: reset`: flows of a backend that is down go to the new owner (whose stack resets them); when nobody lives, TCP is reset.
    /// Without it flows stay with a backend that is down, and when nobody lives packets are dropped.
    pub const RESET: u32 = 2;
    /// For [`super::VIA_GUE`]: origins run our decapsulation. No pins are written; a non-SYN in an away slot goes to the current owner,
    /// with the other candidates in the header.
    pub const CHAIN: u32 = 4;
    /// Some backend lives, for [`super::MODE_ECHO`].
    pub const LIVES: u32 = 8;
    /// SYN cookies under flood, for [`super::MODE_TERMINATE`].
    pub const COOKIES: u32 = 16;
    /// UDP packets carry QUIC connection ids of our form.
    pub const QUIC: u32 = 32;
}

/// IP protocol numbers.
pub mod protocols {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in an envelope.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in an envelope.
    pub const IPV6: u8 = 41;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = 58;
}

const _: () = assert!(size_of::<PortKey>() == 20 && size_of::<PortRange>() == 8);
const _: () = assert!(size_of::<Ports>() == 72 && size_of::<Service>() == 32);
