//! The IP headers of packets that we make ourselves.

use crate::checksum;
use crate::wire::{DONT_FRAGMENT, HOPS, Ipv4, Ipv6};

impl Ipv4 {
    /// The header of a packet that we make: not to be fragmented, with its checksum.
    #[inline(always)]
    pub fn made(protocol: u8, payload: u16, source: u32, destination: u32) -> Self {
        checksum::sealed(Self {
            version_length: 0x45,
            tos: 0,
            length: (size_of::<Self>() as u16 + payload).to_be(),
            identification: 0,
            fragment: DONT_FRAGMENT,
            ttl: HOPS,
            protocol,
            checksum: 0,
            source,
            destination,
        })
    }
}

impl Ipv6 {
    /// The header of a packet that we make.
    #[inline(always)]
    pub fn made(next: u8, payload: u16, source: [u32; 4], destination: [u32; 4]) -> Self {
        Self { version_class_flow: 0x6000_0000_u32.to_be(), length: payload.to_be(), next, hops: HOPS, source, destination }
    }
}
