//! The usual design of an XDP balancer, to be measured against: a table of connections (LRU), and behind it a consistent ring.
//!
//! What a known connection takes: its VIP, its entry of the table, its backend, two counters, an IP envelope. A SYN or an unknown packet takes
//! the ring, and is written into the table. It has the balancer's own parser, checksum and next hop, so that only the design differs, and
//! nothing that the design does not need: no guards, fragments, ICMP or IPv6.

use crate::maps;
use abi::{NO_BACKEND, PortKey, Reason, flow_hash, limits, protocols, slot_of};
use prog::checksum;
use prog::packet::Packet;
use prog::parse::{self, Parsed};
use prog::route::{self, Link};
use prog::verdict::{Step, Verdict};
use prog::wire::{DONT_FRAGMENT, HOPS, Ipv4};

/// What the kernel is told of a packet.
#[inline(always)]
pub(crate) fn balance(packet: &Packet) -> u32 {
    match story(packet) {
        Ok(verdict) | Err(verdict) => verdict.action(),
    }
}

#[inline(always)]
fn story(packet: &Packet) -> Step<Verdict> {
    let settings = maps::settings().ok_or(Verdict::PASS)?;
    let mut parsed = parse::parse(packet)?;
    parse::transport(packet, &mut parsed)?;
    let key = PortKey { address: parsed.flow.destination, port: parsed.flow.destination_port, protocol: parsed.flow.protocol, padding: 0 };
    let vip = maps::vip(&key).ok_or(Verdict::PASS)?;
    let number = owner(&parsed, settings.hash_seed)?;
    let backend = maps::backend(number).ok_or(Verdict::drop(Reason::Broken))?;
    maps::count(vip, number, parsed.bytes);
    let link = Link::read(packet, &parsed)?;
    let hop = route::to_backend(packet, backend, settings, &link)?;
    packet.grow(size_of::<Ipv4>())?;
    link.write(packet, &hop, true)?;
    let outer = Ipv4 {
        version_length: 0x45,
        tos: parsed.tos,
        length: (parsed.bytes + size_of::<Ipv4>() as u16).to_be(),
        identification: 0,
        fragment: DONT_FRAGMENT,
        ttl: HOPS,
        protocol: protocols::IPV4,
        checksum: 0,
        source: settings.source_v4.v4_word(),
        destination: backend.address.v4_word(),
    };
    packet.write(parsed.ip, checksum::sealed(outer))?;
    Ok(hop.send())
}

/// A connection's owner: as the table has it, else as the ring has it.
#[inline(always)]
fn owner(parsed: &Parsed, seed: u32) -> Step<u32> {
    if !parsed.is_syn()
        && let Some(known) = maps::connection(&parsed.flow)
    {
        return Ok(known);
    }
    let hash = flow_hash(seed, &parsed.flow.source, parsed.ports());
    let backend = maps::ring(slot_of(hash, limits::SLOTS)).unwrap_or(NO_BACKEND);
    if backend == NO_BACKEND {
        return Err(Verdict::drop(Reason::NoBackend));
    }
    maps::remember(&parsed.flow, backend);
    Ok(backend)
}
