//! The common packet: IPv4 without tags, options or fragments, TCP or UDP, whole.
//!
//! Nearly every packet is one, and understanding one takes a look at the frame's end and a dozen loads. What is different in any respect is
//! for [`crate::parse`], which says what is wrong with it, if anything is.

use crate::checksum;
use crate::packet::{Front, Packet};
use crate::route::{Destination, Hop, Source};
use crate::verdict::{Step, Verdict};
use crate::wire::{DONT_FRAGMENT, ETHERNET_BYTES, EtherType, FRAGMENT_OFFSET, HOPS, IPV4, Ipv4, MORE_FRAGMENTS};
use abi::{Backend, Reason, Settings, protocols, tcp_flags};

/// A common packet. Its fields are read where they are needed, and not kept: reading one is as cheap as fetching it from where it was laid down
/// meanwhile, and a program has few registers and little stack. No good any more when the head has moved.
#[derive(Clone, Copy)]
pub struct Plain {
    front: Front<FRONT_BYTES>,
}

/// Where the ports begin.
const PORTS: usize = ETHERNET_BYTES + size_of::<Ipv4>();
/// Where TCP has the offset of its data and its flags.
const OFFSET_AND_FLAGS: usize = PORTS + 12;
/// All that is looked at. A UDP packet that is shorter was not padded as Ethernet wants it, and is no common one.
const FRONT_BYTES: usize = OFFSET_AND_FLAGS + size_of::<u16>();
/// Bytes of IP and TCP headers, of IP and UDP headers.
const TCP_BYTES: u16 = 40;
const UDP_BYTES: u16 = 28;
/// Version 4, a header of five words.
const VERSION_LENGTH: u8 = 0x45;

impl Plain {
    /// Read a frame; `None` when it is not a common one.
    #[inline(always)]
    pub fn read(packet: &Packet) -> Option<Self> {
        let front: Front<FRONT_BYTES> = packet.front()?;
        let kind = front.read::<u16, { ETHERNET_BYTES - size_of::<EtherType>() }>();
        let [version, _] = front.read::<u16, ETHERNET_BYTES>().to_ne_bytes();
        let fragment = front.read::<u16, { ETHERNET_BYTES + 6 }>();
        if kind != IPV4 || version != VERSION_LENGTH || fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0 {
            return None;
        }
        let plain = Self { front };
        let bytes = plain.bytes();
        let is_whole = match plain.protocol() {
            protocols::TCP => plain.offset_and_flags()[0] >> 4 >= 5 && bytes >= TCP_BYTES,
            protocols::UDP => bytes >= UDP_BYTES,
            _ => false,
        };
        if is_whole && packet.holds(ETHERNET_BYTES + usize::from(bytes)) { Some(plain) } else { None }
    }

    /// The MAC that it came to.
    #[inline(always)]
    pub fn own(self) -> Source {
        (self.front.read::<u16, 0>(), self.front.read::<u32, 2>())
    }

    /// Bytes of the IP packet, header included.
    #[inline(always)]
    pub fn bytes(self) -> u16 {
        u16::from_be(self.front.read::<u16, { ETHERNET_BYTES + 2 }>())
    }

    /// TCP or UDP.
    #[inline(always)]
    pub fn protocol(self) -> u8 {
        let [_, protocol] = self.front.read::<u16, { ETHERNET_BYTES + 8 }>().to_ne_bytes();
        protocol
    }

    /// The client's address.
    #[inline(always)]
    pub fn source(self) -> u32 {
        self.front.read::<u32, { ETHERNET_BYTES + 12 }>()
    }

    /// The VIP.
    #[inline(always)]
    pub fn destination(self) -> u32 {
        self.front.read::<u32, { ETHERNET_BYTES + 16 }>()
    }

    /// The client's port, then the VIP's, as they stand in the packet.
    #[inline(always)]
    pub fn ports(self) -> u32 {
        self.front.read::<u32, PORTS>()
    }

    /// The VIP's port.
    #[inline(always)]
    pub fn destination_port(self) -> u16 {
        self.front.read::<u16, { PORTS + 2 }>()
    }

    /// Does it begin a TCP connection?
    #[inline(always)]
    pub fn is_syn(self) -> bool {
        self.protocol() == protocols::TCP && self.offset_and_flags()[1] & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }

    /// Without meaning for UDP.
    #[inline(always)]
    fn offset_and_flags(self) -> [u8; 2] {
        self.front.read::<u16, OFFSET_AND_FLAGS>().to_ne_bytes()
    }
}

/// Put a common packet into an envelope of IPv4 to a backend whose next hop is known, and send it.
#[inline(always)]
pub fn enclose(packet: &Packet, backend: &Backend, to: Destination, settings: &Settings) -> Step<Verdict> {
    packet.grow(size_of::<Ipv4>())?;
    let front: Front<GROWN_BYTES> = packet.front().ok_or(Verdict::drop(Reason::NoHeadroom))?;
    // What is written stands in front of what is read.
    let own = (front.read::<u16, GROWTH>(), front.read::<u32, { GROWTH + 2 }>());
    let [_, tos] = front.read::<u16, { GROWTH + ETHERNET_BYTES }>().to_ne_bytes();
    let bytes = u16::from_be(front.read::<u16, { GROWTH + ETHERNET_BYTES + 2 }>());
    let hop = Hop::to(to, packet, backend, own);
    let outer = Ipv4 {
        version_length: VERSION_LENGTH,
        tos,
        length: (bytes + GROWTH as u16).to_be(),
        identification: 0,
        fragment: DONT_FRAGMENT,
        ttl: HOPS,
        protocol: protocols::IPV4,
        checksum: 0,
        source: settings.source_v4.v4_word(),
        destination: backend.address.v4_word(),
    };
    front.write::<_, 0>(hop.macs());
    front.write::<_, { ETHERNET_BYTES - size_of::<EtherType>() }>(EtherType { kind: IPV4 });
    front.write::<_, ETHERNET_BYTES>(checksum::sealed(outer));
    Ok(hop.send())
}

/// Bytes of the envelope.
const GROWTH: usize = size_of::<Ipv4>();
/// What is looked at of the packet in its envelope.
const GROWN_BYTES: usize = GROWTH + ETHERNET_BYTES + 4;
