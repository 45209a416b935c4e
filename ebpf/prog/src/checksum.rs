//! The Internet checksum (RFC 1071): of headers, of changes (RFC 1624), of envelopes.
//!
//! Sums are of 16-bit words as they stand in memory, which gives the same result in any byte order.

use crate::wire::{Ipv4, Ipv6, Tcp};
use abi::Address;

/// A sum under way.
#[derive(Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Of nothing.
    #[inline(always)]
    #[must_use]
    pub fn new() -> Self {
        Self(0)
    }

    /// One more half word.
    #[inline(always)]
    #[must_use]
    pub fn half(self, half: u16) -> Self {
        Self(self.0 + u64::from(half))
    }

    /// One more word of four bytes.
    #[inline(always)]
    #[must_use]
    pub fn word(self, word: u32) -> Self {
        Self(self.0 + u64::from(word))
    }

    /// An address, of its family's length.
    #[inline(always)]
    #[must_use]
    pub fn address(self, address: &Address) -> Self {
        if address.is_v4() { self.word(address.v4_word()) } else { self.words(&address.0) }
    }

    /// Four words.
    #[inline(always)]
    #[must_use]
    pub fn words(self, words: &[u32; 4]) -> Self {
        self.word(words[0]).word(words[1]).word(words[2]).word(words[3])
    }

    /// Take another sum away.
    #[inline(always)]
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.half(!other.folded())
    }

    /// Add another sum.
    #[inline(always)]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.half(other.folded())
    }

    /// The checksum: the complement.
    #[inline(always)]
    pub fn checksum(self) -> u16 {
        !self.folded()
    }

    #[inline(always)]
    fn folded(self) -> u16 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        sum as u16
    }
}

/// A checksum after something that it covers changed (RFC 1624, equation 3).
#[inline(always)]
pub fn replaced(checksum: u16, before: Sum, after: Sum) -> u16 {
    Sum::new().half(!checksum).less(before).plus(after).checksum()
}

/// A UDP checksum of 0 would say that there is none (RFC 768).
#[inline(always)]
pub fn never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// An IPv4 header with its checksum (one without options).
#[inline(always)]
pub fn sealed(mut ip: Ipv4) -> Ipv4 {
    ip.checksum = 0;
    ip.checksum = ipv4(&ip).checksum();
    ip
}

/// The sum of an IPv4 header without options.
#[inline(always)]
fn ipv4(ip: &Ipv4) -> Sum {
    Sum::new()
        .half(u16::from_ne_bytes([ip.version_length, ip.tos]))
        .half(ip.length)
        .half(ip.identification)
        .half(ip.fragment)
        .half(u16::from_ne_bytes([ip.ttl, ip.protocol]))
        .half(ip.checksum)
        .word(ip.source)
        .word(ip.destination)
}

/// The sum of an IPv6 header.
#[inline(always)]
pub fn ipv6(ip: &Ipv6) -> Sum {
    Sum::new()
        .word(ip.version_class_flow)
        .half(ip.length)
        .half(u16::from_ne_bytes([ip.next, ip.hops]))
        .words(&ip.source)
        .words(&ip.destination)
}

/// The sum of a TCP header without options.
#[inline(always)]
pub fn tcp(tcp: &Tcp) -> Sum {
    Sum::new()
        .half(tcp.source)
        .half(tcp.destination)
        .word(tcp.sequence)
        .word(tcp.acknowledgement)
        .half(u16::from_ne_bytes([tcp.offset, tcp.flags]))
        .half(tcp.window)
        .half(tcp.checksum)
        .half(tcp.urgent)
}

/// The pseudo header of a transport (RFC 768, RFC 8200 8.1) of `bytes` bytes.
#[inline(always)]
pub fn pseudo(source: &Address, destination: &Address, protocol: u8, bytes: u16) -> Sum {
    Sum::new().address(source).address(destination).half(u16::from(protocol).to_be()).half(bytes.to_be())
}
