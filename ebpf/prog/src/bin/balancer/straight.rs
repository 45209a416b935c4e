//! The straight way: what nearly every packet needs, and nothing else.
//!
//! An IPv4 packet without tags, options or fragments, to an exact port of a VIP in direct server return, whose slot is at home with a backend whose
//! next hop is known: its way is decided here from a dozen loads. Whatever is different in any respect is `None`, and goes the long way
//! (`story`), which comes to the same end for those that could have gone here: nothing is changed, counted or spent before that is certain.
//! Half of what the long way costs is understanding packets of which there are few; a test holds the two together.

use crate::vip::Found;
use crate::{count, guard, maps, vip};
use abi::{
    AWAY, Address, Backend, MODE_DSR, NO_BACKEND, Service, Settings, VIA_IPIP, VIA_L2, flow_hash, protocols, service_flags, slot_of,
    tcp_flags,
};
use prog::checksum;
use prog::packet::Packet;
use prog::route::{self, Hop, Link};
use prog::verdict::{Step, Verdict};
use prog::wire::{DONT_FRAGMENT, ETHERNET_BYTES, EtherType, FRAGMENT_OFFSET, HOPS, IPV4, Ipv4, MORE_FRAGMENTS, TransportPorts};

/// What is known of the packet.
struct Plain {
    ip: Ipv4,
    bytes: u16,
    ports: TransportPorts,
    is_syn: bool,
}

/// Where TCP has the offset of its data and its flags.
const OFFSET_AND_FLAGS: usize = ETHERNET_BYTES + size_of::<Ipv4>() + 12;
/// Version 4, a header of five words.
const PLAIN: u8 = 0x45;
/// Bytes of the largest packet on the way to a backend that does not say.
const MTU: usize = 1500;

/// The whole way of a common packet; `None` for all others.
#[inline(always)]
pub(crate) fn go(packet: &Packet, settings: &Settings) -> Option<Step<Verdict>> {
    let plain = read(packet)?;
    let found = vip::found(maps::port_v4(plain.ip.destination, plain.ports.destination, plain.ip.protocol)?)?;
    let source = Address::from_v4_word(plain.ip.source);
    let number = owner(&plain, &source, found.service, settings)?;
    let backend = maps::backend(number)?;
    let mtu = if backend.mtu == 0 { MTU } else { usize::from(backend.mtu) };
    let via = found.service.via;
    let overhead = if via == VIA_IPIP { size_of::<Ipv4>() } else { 0 };
    if (via != VIA_IPIP && via != VIA_L2) || usize::from(plain.bytes) + overhead > mtu {
        return None;
    }
    if via == VIA_IPIP && (!backend.address.is_v4() || settings.source_v4.is_none()) {
        return None;
    }
    let link = Link::untagged(packet)?;
    let hop = route::known(packet, backend, settings, &link)?;
    Some(send(packet, &plain, &found, settings, &Way { number, backend, hop: &hop }))
}

/// Where it goes.
struct Way<'a> {
    number: u32,
    backend: &'a Backend,
    hop: &'a Hop,
}

/// Read a plain packet.
#[inline(always)]
fn read(packet: &Packet) -> Option<Plain> {
    let kind = packet.read::<EtherType>(ETHERNET_BYTES - size_of::<EtherType>()).ok()?.kind;
    let ip: Ipv4 = packet.read(ETHERNET_BYTES).ok()?;
    let ports: TransportPorts = packet.read(ETHERNET_BYTES + size_of::<Ipv4>()).ok()?;
    let bytes = u16::from_be(ip.length);
    if kind != IPV4 || ip.version_length != PLAIN || ip.fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0 {
        return None;
    }
    let is_syn = match ip.protocol {
        protocols::TCP => {
            let [offset, flags] = packet.read::<u16>(OFFSET_AND_FLAGS).ok()?.to_ne_bytes();
            // The whole header, or the long way says what is wrong with it.
            if offset >> 4 < 5 || bytes < 40 {
                return None;
            }
            flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
        }
        protocols::UDP if bytes >= 28 => false,
        _ => return None,
    };
    packet.holds(ETHERNET_BYTES + usize::from(bytes)).then_some(Plain { ip, bytes, ports, is_syn })
}

/// The owner of its slot, if that is at home and nothing else has a say.
#[inline(always)]
fn owner(plain: &Plain, source: &Address, service: &Service, settings: &Settings) -> Option<u32> {
    let has_state = plain.ip.protocol == protocols::UDP && (service.session_s != 0 || service.flags & service_flags::QUIC != 0);
    if service.mode != MODE_DSR || has_state {
        return None;
    }
    let ports = u32::from(plain.ports.source) | u32::from(plain.ports.destination) << 16;
    let ports = if service.flags & service_flags::HASH_SOURCE == 0 { ports } else { 0 };
    let slot = maps::slot(service.table, slot_of(flow_hash(settings.hash_seed, source, ports), settings.slots))?;
    if slot & AWAY == 0 && slot != NO_BACKEND { Some(slot) } else { None }
}

/// Through the guards, counted, out.
#[inline(always)]
fn send(packet: &Packet, plain: &Plain, found: &Found, settings: &Settings, way: &Way<'_>) -> Step<Verdict> {
    guard::admit(&Address::from_v4_word(plain.ip.source), plain.is_syn, settings)?;
    count::forwarded(found.number, way.number, plain.bytes);
    if found.service.via == VIA_IPIP {
        packet.grow(size_of::<Ipv4>())?;
        let outer = Ipv4 {
            version_length: PLAIN,
            tos: plain.ip.tos,
            length: (plain.bytes + size_of::<Ipv4>() as u16).to_be(),
            identification: 0,
            fragment: DONT_FRAGMENT,
            ttl: HOPS,
            protocol: protocols::IPV4,
            checksum: 0,
            source: settings.source_v4.v4_word(),
            destination: way.backend.address.v4_word(),
        };
        packet.write(ETHERNET_BYTES, checksum::sealed(outer))?;
        packet.write(ETHERNET_BYTES - size_of::<EtherType>(), EtherType { kind: IPV4 })?;
    }
    way.hop.write(packet)?;
    Ok(way.hop.send())
}
