//! VIPs as the programs see them: from address, protocol and port to a service, and what that service does.
//!
//! `PORTS` (hash, [`PortKey`] -> service number, `u32`) has the exact ports. What is not in it is looked up in `ADDRESSES` (hash,
//! [`PortKey`] with port 0 -> [`Ports`]): ranges, and the service of packets whose ports nobody knows. An address and protocol with any
//! service at all must have its entry in `ADDRESSES`: it is how a later fragment is known to be ours. What is in neither goes to the stack.
//! Echo requests are looked up in `ADDRESSES` as protocol ICMP or `ICMPv6`, whose `portless` is a service of [`MODE_ECHO`].
//! `SERVICES` (array) holds the services; number 0 is none. Tables, services and backends are written before what leads to them.

use crate::{Address, NO_SERVICE, limits};

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

/// `PORTS_V4` (array of `u64`): a copy of the exact IPv4 ports of TCP and UDP in `PORTS`, each in the cell of its hash, where one load finds it.
/// Of ports that meet in a cell one has it, and the others are found in `PORTS` alone. A cell holds the port and its service in one word, so
/// that it is read whole; 0 is an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCell(u64);

impl PortCell {
    /// Where the service's number begins in a word: below it.
    const SERVICE_BITS: u32 = 15;

    /// An address's word and a port as they stand in a packet.
    #[inline(always)]
    pub const fn new(destination: u32, port: u16, is_udp: bool) -> Self {
        Self((destination as u64) << 32 | (port as u64) << 16 | (is_udp as u64) << Self::SERVICE_BITS)
    }

    /// Its place in the array.
    #[inline(always)]
    pub const fn place(self) -> u32 {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - limits::PORT_CELLS.trailing_zeros())) as u32
    }

    /// The cell's word, when it has this service.
    pub const fn with(self, service: u32) -> u64 {
        self.0 | service as u64
    }

    /// The service in a cell's word; [`NO_SERVICE`] when it is that of another port, or empty.
    #[inline(always)]
    pub const fn service_in(self, word: u64) -> u32 {
        let service = word ^ self.0;
        if service >> Self::SERVICE_BITS == 0 { service as u32 } else { NO_SERVICE }
    }
}

impl PortKey {
    /// Its cell in `PORTS_V4`, when it may have one.
    pub const fn cell(&self) -> Option<PortCell> {
        let is_udp = self.protocol == protocols::UDP;
        if self.address.is_v4() && (is_udp || self.protocol == protocols::TCP) {
            return Some(PortCell::new(self.address.v4_word(), self.port, is_udp));
        }
        None
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
const _: () = assert!(limits::PORT_CELLS.is_power_of_two() && limits::SERVICES <= 1 << PortCell::SERVICE_BITS);

#[cfg(test)]
mod tests {
    use super::{PortCell, PortKey, protocols};
    use crate::{Address, NO_SERVICE};

    #[test]
    fn a_cell_is_of_one_port() {
        let key = |address, protocol, port| PortKey::new(Address::v4(address), protocol, port).cell().unwrap();
        let own = key([203, 0, 113, 10], protocols::TCP, 443);
        let word = own.with(7);
        assert_eq!(own.service_in(word), 7);
        for other in [
            key([203, 0, 113, 11], protocols::TCP, 443),
            key([203, 0, 113, 10], protocols::UDP, 443),
            key([203, 0, 113, 10], protocols::TCP, 444),
        ] {
            assert_eq!(other.service_in(word), NO_SERVICE, "{other:?}");
        }
        assert_eq!(own.service_in(0), NO_SERVICE);
        let none: [Option<PortCell>; 2] = [
            PortKey::new(Address::v6([0x20; 16]), protocols::TCP, 443).cell(),
            PortKey::new(Address::v4([1; 4]), protocols::ICMP, 0).cell(),
        ];
        assert_eq!(none, [None, None]);
    }
}
