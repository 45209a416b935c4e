//! Envelopes: how a packet travels to its backend unchanged.
//!
//! The outer family is that of the backend's address, whatever is inside. The outer header takes over the type of service with its ECN bits
//! (RFC 6040, 4.1), and is never fragmented: whoever sent what does not fit is told (`icmp`).

use crate::maps;
use crate::slot::Choice;
use abi::{
    Address, Away, Backend, Candidates, GUE_PORT, GUE_PRIVATE_KIND, GueHeader, NO_BACKEND, Reason, Settings, VIA_GUE, VIA_L2, protocols,
};
use prog::checksum::{self, Sum};
use prog::packet::Packet;
use prog::parse::{Parsed, Piece};
use prog::route::{Hop, Link};
use prog::verdict::{Step, Verdict};
use prog::wire::{DONT_FRAGMENT, HOPS, Ipv4, Ipv6, Udp};

/// Everything that an envelope needs.
pub(crate) struct Letter<'a> {
    /// The packet, as it came.
    pub(crate) parsed: &'a Parsed,
    /// Who gets it.
    pub(crate) backend: &'a Backend,
    /// How it was chosen.
    pub(crate) choice: &'a Choice,
    /// The frame's header, as it came.
    pub(crate) link: &'a Link,
    /// Where to next.
    pub(crate) hop: &'a Hop,
    /// Our own addresses.
    pub(crate) settings: &'a Settings,
}

/// Where the flow's entropy goes: the ephemeral ports (RFC 7510, 3.1, for the like of it).
const SOURCE_PORTS: u16 = 0xc000;

/// GUE's flag for private data.
const PRIVATE: u16 = 0x8000_u16.to_be();

/// Bytes that the envelope adds.
#[inline(always)]
pub(crate) fn overhead(via: u32, backend: &Backend, choice: &Choice) -> usize {
    match via {
        VIA_L2 => 0,
        VIA_GUE => outer_bytes(backend) + size_of::<Udp>() + choice.others.map_or(0, |away| front(count(away), backend)),
        _ => outer_bytes(backend),
    }
}

/// How many other owners there are to name.
#[inline(always)]
fn count(away: &Away) -> usize {
    others(away).iter().take_while(|other| **other != NO_BACKEND).count()
}

#[inline(always)]
fn others(away: &Away) -> [u32; Candidates::MAX] {
    [away.fallback, away.alternates[0], away.alternates[1], away.alternates[2]]
}

/// Bytes between UDP's header and the packet.
#[inline(always)]
fn front(count: usize, backend: &Backend) -> usize {
    let address = if backend.address.is_v4() { size_of::<u32>() } else { size_of::<Address>() };
    if count == 0 { 0 } else { size_of::<GueHeader>() + size_of::<Candidates>() + count * address }
}

/// Put the packet into its envelope.
#[inline(always)]
pub(crate) fn seal(packet: &Packet, via: u32, letter: &Letter<'_>) -> Step<()> {
    match via {
        VIA_L2 => letter.hop.write(packet)?,
        VIA_GUE => match letter.choice.others {
            None => gue(packet, letter)?,
            Some(away) => gue_with_candidates(packet, letter, away)?,
        },
        _ => {
            packet.grow(outer_bytes(letter.backend))?;
            let inside = if letter.parsed.is_v4() { protocols::IPV4 } else { protocols::IPV6 };
            outer(packet, letter, inside, usize::from(letter.parsed.bytes))?;
        }
    }
    Ok(())
}

/// UDP, then the packet at once (GUE variant 1).
#[inline(always)]
fn gue(packet: &Packet, letter: &Letter<'_>) -> Step<()> {
    let inside = sum_inside(packet, letter.parsed)?;
    packet.grow(outer_bytes(letter.backend) + size_of::<Udp>())?;
    let bytes = size_of::<Udp>() + usize::from(letter.parsed.bytes);
    outer(packet, letter, protocols::UDP, bytes)?;
    udp(packet, letter, bytes, inside)
}

/// UDP, GUE's header, then who else may have the flow, then the packet (GUE variant 0).
#[inline(always)]
fn gue_with_candidates(packet: &Packet, letter: &Letter<'_>, away: &Away) -> Step<()> {
    let is_v4 = letter.backend.address.is_v4();
    let (others, count) = (others(away), count(away));
    if count == 0 {
        return gue(packet, letter);
    }
    let inside = sum_inside(packet, letter.parsed)?;
    let private = front(count, letter.backend) - size_of::<GueHeader>();
    let front = size_of::<Udp>() + size_of::<GueHeader>() + private;
    packet.grow(outer_bytes(letter.backend) + front)?;
    let bytes = front + usize::from(letter.parsed.bytes);
    outer(packet, letter, protocols::UDP, bytes)?;

    let protocol = if letter.parsed.is_v4() { protocols::IPV4 } else { protocols::IPV6 };
    let header = GueHeader { version_length: (private / 4) as u8, protocol, flags: PRIVATE };
    let head = Candidates { kind: GUE_PRIVATE_KIND, count: count as u8, padding: 0 };
    let at = letter.parsed.ip + outer_bytes(letter.backend) + size_of::<Udp>();
    packet.write(at, header)?;
    packet.write(at + size_of::<GueHeader>(), head)?;
    let mut sum = Sum::new()
        .half(u16::from_ne_bytes([header.version_length, header.protocol]))
        .half(header.flags)
        .half(u16::from_ne_bytes([head.kind, head.count]));
    let at = at + size_of::<GueHeader>() + size_of::<Candidates>();
    for (place, other) in others.iter().enumerate() {
        if place >= count {
            break;
        }
        let address = maps::backend(*other).map(|other| other.address).unwrap_or_default();
        if is_v4 {
            packet.write(at + place * size_of::<u32>(), address.v4_word())?;
            sum = sum.word(address.v4_word());
        } else {
            packet.write(at + place * size_of::<Address>(), address)?;
            sum = sum.words(&address.0);
        }
    }
    udp(packet, letter, bytes, inside.map(|inside| inside.plus(sum)))
}

/// The frame's header and the outer IP header, in the room that was made.
#[inline(always)]
fn outer(packet: &Packet, letter: &Letter<'_>, protocol: u8, bytes: usize) -> Step<()> {
    let is_v4 = letter.backend.address.is_v4();
    letter.link.write(packet, letter.hop, is_v4)?;
    let at = letter.parsed.ip;
    let source = source(letter)?;
    if is_v4 {
        let ip = Ipv4 {
            version_length: 0x45,
            tos: letter.parsed.tos,
            length: ((size_of::<Ipv4>() + bytes) as u16).to_be(),
            identification: 0,
            fragment: DONT_FRAGMENT,
            ttl: HOPS,
            protocol,
            checksum: 0,
            source: source.v4_word(),
            destination: letter.backend.address.v4_word(),
        };
        packet.write(at, checksum::sealed(ip))
    } else {
        // The flow label gives routers the flow's entropy (RFC 6438).
        let class_flow = 6 << 28 | u32::from(letter.parsed.tos) << 20 | letter.choice.hash & 0xf_ffff;
        let ip = Ipv6 {
            version_class_flow: class_flow.to_be(),
            length: (bytes as u16).to_be(),
            next: protocol,
            hops: HOPS,
            source: source.0,
            destination: letter.backend.address.0,
        };
        packet.write(at, ip)
    }
}

/// The UDP header of an envelope of `bytes` bytes, itself included.
#[inline(always)]
fn udp(packet: &Packet, letter: &Letter<'_>, bytes: usize, inside: Option<Sum>) -> Step<()> {
    let mut udp = Udp {
        source: (SOURCE_PORTS | (letter.choice.hash as u16 & !SOURCE_PORTS)).to_be(),
        destination: GUE_PORT.to_be(),
        length: (bytes as u16).to_be(),
        checksum: 0,
    };
    // Under IPv4 none is needed (RFC 768); under IPv6 it is computed wherever the inside's own checksum makes that possible, else it is
    // left out as tunnels may (RFC 6935).
    if let Some(inside) = inside
        && !letter.backend.address.is_v4()
    {
        let sum = checksum::pseudo(source(letter)?, &letter.backend.address, protocols::UDP, bytes as u16)
            .half(udp.source)
            .half(udp.destination)
            .half(udp.length)
            .plus(inside);
        udp.checksum = checksum::never_zero(sum.checksum());
    }
    packet.write(letter.parsed.ip + outer_bytes(letter.backend), udp)
}

/// The sum of the whole packet inside, without reading it: a transport's checksum makes the sum of its header and data the complement of its
/// pseudo header, so that only headers remain. Not for fragments, nor for UDP without a checksum.
#[inline(always)]
fn sum_inside(packet: &Packet, parsed: &Parsed) -> Step<Option<Sum>> {
    if parsed.piece != Piece::Whole {
        return Ok(None);
    }
    if parsed.is_v4() {
        // An IPv4 header's sum is 0 by its own checksum, options and all; and so is ICMP's message by its own.
        let pseudo = checksum::pseudo(&parsed.flow.source, &parsed.flow.destination, parsed.flow.protocol, transport_bytes(parsed));
        return Ok(match parsed.flow.protocol {
            _ if parsed.about => Some(Sum::new()),
            protocols::UDP if packet.read::<Udp>(parsed.transport)?.checksum == 0 => None,
            _ => Some(Sum::new().less(pseudo)),
        });
    }
    let ip: Ipv6 = packet.read(parsed.ip)?;
    // Extension headers would have to be summed up, and are not.
    if parsed.transport != parsed.ip + size_of::<Ipv6>() {
        return Ok(None);
    }
    let pseudo = checksum::pseudo(&Address(ip.source), &Address(ip.destination), ip.next, transport_bytes(parsed));
    Ok(Some(checksum::ipv6(&ip).less(pseudo)))
}

#[inline(always)]
fn transport_bytes(parsed: &Parsed) -> u16 {
    (parsed.ip + usize::from(parsed.bytes) - parsed.transport) as u16
}

/// Our own address of the envelope's family.
#[inline(always)]
fn source<'a>(letter: &Letter<'a>) -> Step<&'a Address> {
    let source = if letter.backend.address.is_v4() { &letter.settings.source_v4 } else { &letter.settings.source_v6 };
    if source.is_none() { Err(Verdict::drop(Reason::NoSource)) } else { Ok(source) }
}

#[inline(always)]
fn outer_bytes(backend: &Backend) -> usize {
    if backend.address.is_v4() { size_of::<Ipv4>() } else { size_of::<Ipv6>() }
}
