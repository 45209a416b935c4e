//! Network address translation: other ends for a packet, exact checksums.
//!
//! To the origin only the destination changes (`snat: none`), and nothing is kept of the flow: the way back is known by the origin's address and
//! port. With a pool both ends change, and each flow is kept twice.

use crate::budget::{self, Budget};
use crate::maps;
use crate::slot::{self, Choice};
use crate::vip::Found;
use abi::{Address, Backend, FlowKey, NatFlow, Origin, OriginKey, Pin, PoolKey, Reason, Settings, protocols, tcp_flags};
use prog::checksum::{self, Sum};
use prog::packet::Packet;
use prog::parse::{Parsed, Piece};
use prog::verdict::{Step, Verdict};
use prog::wire::{Ipv4, Ipv6, Tcp, Udp};

/// The ends of a packet as they are to be; ports in network order.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// Ports of the pool that are tried for one flow.
const PORTS_TRIED: u32 = 8;

/// The flags of a flow's end that are kept.
const ENDINGS: u8 = tcp_flags::FIN | tcp_flags::RST;

/// The way to an origin that answers through us.
#[inline(always)]
pub(crate) fn to_origin(parsed: &Parsed, backend: &Backend) -> Ends {
    let port = if backend.port == 0 { parsed.flow.destination_port } else { backend.port };
    Ends { source: parsed.flow.source, destination: backend.address, source_port: parsed.flow.source_port, destination_port: port }
}

/// The VIP that a packet's source answers for, if it is such an origin.
#[inline(always)]
pub(crate) fn origin(parsed: &Parsed) -> Option<&'static Origin> {
    let flow = &parsed.flow;
    let mut key = OriginKey { address: flow.source, port: flow.source_port, protocol: flow.protocol, padding: 0 };
    if let Some(origin) = maps::origin(&key) {
        return Some(origin);
    }
    key.port = 0;
    maps::origin(&key)
}

/// The way back from an origin.
#[inline(always)]
pub(crate) fn from_origin(parsed: &Parsed, origin: &Origin) -> Ends {
    Ends {
        source: origin.vip,
        destination: parsed.flow.destination,
        source_port: if origin.port == 0 { parsed.flow.source_port } else { origin.port },
        destination_port: parsed.flow.destination_port,
    }
}

/// The flow of full NAT that a packet's ends belong to, if it is an answer to the pool.
#[inline(always)]
pub(crate) fn pooled(parsed: &Parsed) -> Option<&'static FlowKey> {
    let flow = &parsed.flow;
    maps::nat_back(&PoolKey {
        origin: flow.source,
        pool: flow.destination,
        origin_port: flow.source_port,
        pool_port: flow.destination_port,
        protocol: flow.protocol,
        padding: [0; 3],
    })
}

/// The way back to a client of full NAT.
#[inline(always)]
pub(crate) fn from_pool(parsed: &Parsed, flow: &FlowKey) -> Ends {
    if let Some(kept) = maps::nat_flow(flow) {
        refresh(kept, parsed.tcp);
    }
    Ends { source: flow.destination, destination: flow.source, source_port: flow.destination_port, destination_port: flow.source_port }
}

/// The backend and the ends of a client's packet under full NAT: those of its flow, or of a new one.
#[inline(always)]
pub(crate) fn through_pool(parsed: &Parsed, found: &Found, settings: &Settings) -> Step<(Choice, Ends)> {
    if parsed.piece != Piece::Whole {
        return Err(Verdict::drop(Reason::FragmentInNat));
    }
    if let Some(kept) = maps::nat_flow(&parsed.flow)
        && !(parsed.is_syn() && slot::is_down(kept.backend))
    {
        refresh(kept, parsed.tcp);
        let backend = maps::backend(kept.backend).ok_or(Verdict::drop(Reason::Broken))?;
        let choice = Choice { backend: kept.backend, hash: 0, others: None };
        return Ok((choice, pool_ends(kept, backend)));
    }
    if parsed.flow.protocol == protocols::TCP && !parsed.is_syn() {
        return Err(Verdict::drop(Reason::NoNatFlow));
    }
    let choice = slot::choose_new(parsed, found, settings)?;
    let backend = maps::backend(choice.backend).ok_or(Verdict::drop(Reason::Broken))?;
    let kept = begin(parsed, found, backend, &choice, settings)?;
    Ok((choice, pool_ends(&kept, backend)))
}

/// Begin a flow of full NAT: a free port, then both entries.
#[inline(always)]
fn begin(parsed: &Parsed, found: &Found, backend: &Backend, choice: &Choice, settings: &Settings) -> Step<NatFlow> {
    let service = found.service;
    let exhausted = Verdict::drop(Reason::PortsExhausted);
    if service.pool_count == 0 {
        return Err(exhausted);
    }
    if !budget::spend(Budget::NatFlows, settings.nat_writes_per_s, settings) {
        return Err(Verdict::drop(Reason::NatBudget));
    }
    let pool = maps::pool(service.pool_first + choice.hash % service.pool_count).ok_or(exhausted)?;
    let ports = u32::from(pool.port_last.wrapping_sub(pool.port_first)) + 1;
    let origin_port = if backend.port == 0 { parsed.flow.destination_port } else { backend.port };
    let mut key =
        PoolKey { origin: backend.address, pool: pool.address, origin_port, pool_port: 0, protocol: parsed.flow.protocol, padding: [0; 3] };
    // The client's own port is where the search begins: most clients count upwards, so most find theirs free.
    let start = u32::from(u16::from_be(parsed.flow.source_port)) + choice.hash;
    for tried in 0..PORTS_TRIED {
        let port = u32::from(pool.port_first) + start.wrapping_add(tried) % ports;
        key.pool_port = (port as u16).to_be();
        if maps::claim_port(&key, &parsed.flow) {
            let kept = NatFlow {
                pool: pool.address,
                backend: choice.backend,
                seen_s: budget::second(),
                pool_port: key.pool_port,
                origin_port,
                tcp: 0,
            };
            if maps::write_nat_flow(&parsed.flow, &kept) {
                return Ok(kept);
            }
            maps::free_port(&key);
            return Err(Verdict::drop(Reason::NatBudget));
        }
    }
    Err(exhausted)
}

#[inline(always)]
fn pool_ends(kept: &NatFlow, backend: &Backend) -> Ends {
    Ends { source: kept.pool, destination: backend.address, source_port: kept.pool_port, destination_port: kept.origin_port }
}

#[inline(always)]
fn refresh(kept: &mut NatFlow, tcp: u8) {
    let endings = u32::from(tcp & ENDINGS);
    let now = budget::second();
    if now.wrapping_sub(kept.seen_s) >= Pin::REFRESH_S {
        kept.seen_s = now;
    }
    if kept.tcp & endings != endings {
        kept.tcp |= endings;
    }
}

/// Give the packet other ends, one hop less to live, and the checksums that belong to that.
#[inline(always)]
pub(crate) fn translate(packet: &Packet, parsed: &Parsed, ends: &Ends) -> Step<()> {
    let flow = &parsed.flow;
    if ends.source.is_v4() != parsed.is_v4() || ends.destination.is_v4() != parsed.is_v4() {
        return Err(Verdict::drop(Reason::Broken));
    }
    let before = Sum::new().address(&flow.source).address(&flow.destination);
    let after = Sum::new().address(&ends.source).address(&ends.destination);
    if parsed.is_v4() {
        let mut ip: Ipv4 = packet.read(parsed.ip)?;
        if ip.ttl <= 1 {
            return Err(Verdict::PASS);
        }
        let old_hop = u16::from_ne_bytes([ip.ttl, ip.protocol]);
        ip.ttl -= 1;
        let new_hop = u16::from_ne_bytes([ip.ttl, ip.protocol]);
        ip.checksum = checksum::replaced(ip.checksum, before.half(old_hop), after.half(new_hop));
        (ip.source, ip.destination) = (ends.source.v4_word(), ends.destination.v4_word());
        packet.write(parsed.ip, ip)?;
    } else {
        let mut ip: Ipv6 = packet.read(parsed.ip)?;
        if ip.hops <= 1 {
            return Err(Verdict::PASS);
        }
        ip.hops -= 1;
        (ip.source, ip.destination) = (ends.source.0, ends.destination.0);
        packet.write(parsed.ip, ip)?;
    }
    if parsed.piece == Piece::Later {
        return Ok(());
    }
    let before = before.half(flow.source_port).half(flow.destination_port);
    let after = after.half(ends.source_port).half(ends.destination_port);
    if flow.protocol == protocols::TCP {
        let mut tcp: Tcp = packet.read(parsed.transport)?;
        tcp.checksum = checksum::replaced(tcp.checksum, before, after);
        (tcp.source, tcp.destination) = (ends.source_port, ends.destination_port);
        packet.write(parsed.transport, tcp)
    } else {
        let mut udp: Udp = packet.read(parsed.transport)?;
        if udp.checksum != 0 {
            udp.checksum = checksum::never_zero(checksum::replaced(udp.checksum, before, after));
        }
        (udp.source, udp.destination) = (ends.source_port, ends.destination_port);
        packet.write(parsed.transport, udp)
    }
}
