//! The story of a packet that comes to an origin: envelopes for us are opened, and what is inside goes up the stack as if it had come so.
//!
//! An envelope that names other owners is passed on to the next of them, once by each, when no socket here knows its segment: so flows stay
//! with their origins while tables change, and the balancer keeps no state for it.

use crate::maps;
use abi::{Address, Candidates, DecapSettings, GUE_PORT, GUE_PRIVATE_KIND, GueHeader, Reason, protocols};
use prog::checksum::{self, Sum};
use prog::packet::Packet;
use prog::parse::{self, Parsed, Piece};
use prog::route::{self, Link};
use prog::socket::{self, Owner};
use prog::verdict::{Step, Verdict};
use prog::wire::{IPV4, IPV6, Ipv4, Ipv6, Udp};

/// An envelope for us.
struct Envelope {
    /// The outside.
    outer: Parsed,
    /// Where the packet begins, from the frame's start.
    inside: usize,
    /// Its `EtherType`.
    kind: u16,
    /// Where the addresses of other owners begin, and how many there are.
    others: (usize, u8),
}

/// What the kernel is told of a packet.
#[inline(always)]
pub(crate) fn decapsulate(packet: &Packet) -> u32 {
    let verdict = match story(packet) {
        Ok(verdict) | Err(verdict) => verdict,
    };
    if let Some(reason) = verdict.reason() {
        count(reason);
    }
    verdict.action()
}

#[inline(always)]
fn story(packet: &Packet) -> Step<Verdict> {
    let settings = maps::settings().ok_or(Verdict::PASS)?;
    let outer = parse::parse(packet)?;
    let destination = outer.flow.destination;
    if destination != settings.own_v4 && destination != settings.own_v6 {
        return Err(Verdict::PASS);
    }
    let envelope = open(packet, outer)?;
    if envelope.others.1 > 0
        && is_unknown(packet, envelope.inside, envelope.kind)
        && let Some(end) = pass_on(packet, &envelope, settings)?
    {
        return Ok(end);
    }
    let link = Link::read(packet, &envelope.outer)?;
    packet.shrink(envelope.inside - envelope.outer.ip)?;
    link.write(packet, &link.same(), envelope.kind == IPV4)?;
    Err(Verdict::pass_for(Reason::Decapsulated))
}

#[inline(always)]
fn count(reason: u32) {
    if let Some(count) = maps::reason(reason) {
        *count += 1;
    }
}

/// Find what is inside.
#[inline(always)]
fn open(packet: &Packet, outer: Parsed) -> Step<Envelope> {
    let bad = Verdict::drop(Reason::BadEnvelope);
    let mut envelope = Envelope { inside: outer.transport, kind: IPV4, others: (0, 0), outer };
    let protocol = match outer.flow.protocol {
        _ if outer.piece != Piece::Whole => return Err(Verdict::PASS),
        protocols::UDP => {
            let udp: Udp = packet.read(outer.transport)?;
            if udp.destination != GUE_PORT.to_be() {
                return Err(Verdict::PASS);
            }
            gue(packet, &mut envelope)?
        }
        protocol @ (protocols::IPV4 | protocols::IPV6) => protocol,
        _ => return Err(Verdict::PASS),
    };
    let [version, _tos] = packet.read::<u16>(envelope.inside).map_err(|_truncated| bad)?.to_ne_bytes();
    match (protocol, version >> 4) {
        (protocols::IPV4, 4) => {}
        (protocols::IPV6, 6) => envelope.kind = IPV6,
        _ => return Err(bad),
    }
    Ok(envelope)
}

/// Read GUE's header, of either variant; returns the protocol inside.
#[inline(always)]
fn gue(packet: &Packet, envelope: &mut Envelope) -> Step<u8> {
    let bad = Verdict::drop(Reason::BadEnvelope);
    let at = envelope.outer.transport + size_of::<Udp>();
    let header: GueHeader = packet.read(at).map_err(|_truncated| bad)?;
    match header.version_length >> 6 {
        1 => {
            envelope.inside = at;
            Ok(if header.version_length >> 4 == 4 { protocols::IPV4 } else { protocols::IPV6 })
        }
        // A control message has bit 5.
        0 if header.version_length & 0x20 == 0 => {
            let private = usize::from(header.version_length & 0x1f) * 4;
            envelope.inside = at + size_of::<GueHeader>() + private;
            if private > 0 {
                let head: Candidates = packet.read(at + size_of::<GueHeader>()).map_err(|_truncated| bad)?;
                let address = if envelope.outer.is_v4() { size_of::<u32>() } else { size_of::<Address>() };
                let fits = size_of::<Candidates>() + usize::from(head.count) * address == private;
                if head.kind != GUE_PRIVATE_KIND || usize::from(head.count) > Candidates::MAX || !fits {
                    return Err(bad);
                }
                envelope.others = (at + size_of::<GueHeader>() + size_of::<Candidates>(), head.count);
            }
            Ok(header.protocol)
        }
        _ => Err(bad),
    }
}

/// Is it a segment under way that no socket here knows? A function of its own: what the verifier follows behind it, it follows for two answers
/// and not for each way through the packet inside.
#[inline(never)]
fn is_unknown(packet: &Packet, inside: usize, kind: u16) -> bool {
    let Ok(mut segment) = parse::network(packet, inside, kind) else { return false };
    segment.flow.protocol == protocols::TCP
        && segment.piece == Piece::Whole
        && parse::transport(packet, &mut segment).is_ok()
        && !segment.is_syn()
        && socket::owner(packet, &segment) == Owner::Nobody
}

/// Send the envelope to the next owner that is named; its name, and ours, are taken out. `None` when we were the last.
#[inline(always)]
fn pass_on(packet: &Packet, envelope: &Envelope, settings: &DecapSettings) -> Step<Option<Verdict>> {
    let outer = &envelope.outer;
    let is_v4 = outer.is_v4();
    let own = if is_v4 { &settings.own_v4 } else { &settings.own_v6 };
    let mut before = Sum::new();
    let mut next = Address::default();
    for place in 0..Candidates::MAX {
        if place >= usize::from(envelope.others.1) || !next.is_none() {
            break;
        }
        let size = if is_v4 { size_of::<u32>() } else { size_of::<Address>() };
        let at = envelope.others.0 + place * size;
        let named = if is_v4 { v4_or_none(packet.read(at)?) } else { packet.read(at)? };
        before = before.address(&named);
        if named != *own {
            next = named;
        }
        if is_v4 {
            packet.write(at, 0_u32)?;
        } else {
            packet.write(at, Address::default())?;
        }
    }
    if next.is_none() {
        return Ok(None);
    }
    let link = Link::read(packet, outer)?;
    // Without a route of its own the envelope goes back to where it came from: a router will know.
    let hop = route::by_routes(packet, own, &next).unwrap_or_else(|_unknown| link.back());
    let before = before.address(&outer.flow.source).address(&outer.flow.destination);
    let after = Sum::new().address(own).address(&next);
    let mut udp: Udp = packet.read(outer.transport)?;
    if udp.checksum != 0 {
        udp.checksum = checksum::never_zero(checksum::replaced(udp.checksum, before, after));
        packet.write(outer.transport, udp)?;
    }
    readdress(packet, outer, own, &next)?;
    hop.write(packet)?;
    count(Reason::PassedOn as u32);
    Ok(Some(hop.send()))
}

/// The outer header's new ends, with one hop less to live: what goes in circles dies.
#[inline(always)]
fn readdress(packet: &Packet, outer: &Parsed, own: &Address, next: &Address) -> Step<()> {
    let worn = Verdict::drop(Reason::BadEnvelope);
    if outer.is_v4() {
        let ip: Ipv4 = packet.read(outer.ip)?;
        let ttl = ip.ttl.checked_sub(1).filter(|ttl| *ttl > 0).ok_or(worn)?;
        if ip.version_length != 0x45 {
            return Err(worn);
        }
        packet.write(outer.ip, checksum::sealed(Ipv4 { ttl, source: own.v4_word(), destination: next.v4_word(), ..ip }))
    } else {
        let ip: Ipv6 = packet.read(outer.ip)?;
        let hops = ip.hops.checked_sub(1).filter(|hops| *hops > 0).ok_or(worn)?;
        packet.write(outer.ip, Ipv6 { hops, source: own.0, destination: next.0, ..ip })
    }
}

#[inline(always)]
fn v4_or_none(word: u32) -> Address {
    if word == 0 { Address::default() } else { Address::from_v4_word(word) }
}
