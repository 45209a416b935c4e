//! The usual design of an XDP balancer, to be measured against: a table of connections (LRU), and behind it a consistent ring.
//!
//! What a known connection takes: its VIP, its entry of the table, its backend, two counters, an IP envelope. A SYN or an unknown packet takes
//! the ring, and is written into the table. It has the balancer's own way to read a common packet and to write its envelope, so that only the
//! design differs, and nothing that the design does not need: no guards, no other packets.

use crate::maps::{self, FlowWords};
use abi::{Address, NO_BACKEND, Reason, flow_hash, limits, slot_of};
use prog::packet::Packet;
use prog::plain::{self, Plain};
use prog::route;
use prog::verdict::{Step, Verdict};

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
    let plain = Plain::read(packet).ok_or(Verdict::PASS)?;
    // Keys are written in the words that the kernel's hash reads: it would wait for a word that was written in pieces.
    let source = Address::from_v4_word(plain.source()).0;
    let [a, b, c, d] = Address::from_v4_word(plain.destination()).0;
    let protocol = u32::from(plain.protocol());
    let vip = maps::vip(&[a, b, c, d, u32::from(plain.destination_port()) | protocol << 16]).ok_or(Verdict::PASS)?;
    let flow = [source[0], source[1], source[2], source[3], a, b, c, d, plain.ports(), protocol];
    let number = owner(&plain, &flow, settings.hash_seed)?;
    let backend = maps::backend(number).ok_or(Verdict::drop(Reason::Broken))?;
    maps::count(vip, number, plain.bytes());
    let destination = route::known(backend, settings).ok_or(Verdict::drop(Reason::NoNeighbour))?;
    plain::enclose(packet, backend, destination, settings)
}

/// A connection's owner: as the table has it, else as the ring has it.
#[inline(always)]
fn owner(plain: &Plain, flow: &FlowWords, seed: u32) -> Step<u32> {
    if !plain.is_syn()
        && let Some(known) = maps::connection(flow)
    {
        return Ok(known);
    }
    let hash = flow_hash(seed, &Address::from_v4_word(plain.source()), plain.ports());
    let backend = maps::ring(slot_of(hash, limits::SLOTS)).unwrap_or(NO_BACKEND);
    if backend == NO_BACKEND {
        return Err(Verdict::drop(Reason::NoBackend));
    }
    maps::remember(flow, backend);
    Ok(backend)
}
