//! Delivery: a packet whose backend is decided, and its way there; and the way back of what an origin answers.

use crate::encap::{self, Letter};
use crate::nat::{self, Ends};
use crate::slot::Choice;
use crate::vip::Found;
use crate::{count, maps, too_big};
use abi::{Backend, Reason, Settings};
use prog::packet::Packet;
use prog::parse::Parsed;
use prog::route::{self, Hop, Link};
use prog::verdict::{Step, Verdict};

/// A packet and who gets it.
pub(crate) struct Delivery<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) backend: &'a Backend,
    pub(crate) choice: Choice,
    pub(crate) settings: &'a Settings,
}

/// It is decided: look the backend up and count.
#[inline(always)]
pub(crate) fn to<'a>(parsed: &'a Parsed, found: &Found, choice: Choice, settings: &'a Settings) -> Step<Delivery<'a>> {
    let backend = maps::backend(choice.backend).ok_or(Verdict::drop(Reason::Broken))?;
    count::forwarded(found.number, choice.backend, parsed.bytes);
    Ok(Delivery { parsed, backend, choice, settings })
}

/// Bytes of the largest packet on the way to a backend that does not say.
const MTU: usize = 1500;

/// Direct server return: the packet as it is, in an envelope or with another MAC, and its next hop.
#[inline(always)]
pub(crate) fn enclose(packet: &Packet, found: &Found, delivery: &Delivery<'_>) -> Step<Hop> {
    let Delivery { parsed, backend, choice, settings } = delivery;
    let overhead = encap::overhead(found.service.via, backend, choice);
    let mtu = if backend.mtu == 0 { MTU } else { usize::from(backend.mtu) };
    if usize::from(parsed.bytes) + overhead > mtu {
        return Err(too_big::tell(packet, parsed, mtu - overhead, settings)?);
    }
    let link = Link::read(packet, parsed)?;
    let hop = next_hop(packet, delivery, &link).map_err(unresolved)?;
    encap::seal(packet, found.service.via, &Letter { parsed, backend, choice, link: &link, hop: &hop, settings })?;
    Ok(hop)
}

/// The next hop to the backend; that the kernel's routes are asked for it is counted.
#[inline(always)]
fn next_hop(packet: &Packet, delivery: &Delivery<'_>, link: &Link) -> Step<Hop> {
    let Delivery { backend, settings, .. } = delivery;
    if let Some(destination) = route::known(backend, settings) {
        return Ok(Hop::to(destination, packet, backend, link.own()));
    }
    count::reason(Reason::ByRoutes);
    route::by_routes(packet, route::source_for(&backend.address, settings), &backend.address)
}

/// A packet for another machine is nothing that our stack could send there.
#[inline(always)]
fn unresolved(_: Verdict) -> Verdict {
    Verdict::drop(Reason::NoNeighbour)
}

/// Translation: to the origin under other ends.
#[inline(always)]
pub(crate) fn cross(packet: &Packet, delivery: &Delivery<'_>, ends: &Ends) -> Step<Verdict> {
    let link = Link::read(packet, delivery.parsed)?;
    nat::translate(packet, delivery.parsed, ends)?;
    let hop = next_hop(packet, delivery, &link)?;
    hop.write(packet)?;
    Ok(hop.send())
}

/// Translation: back to the client, by the kernel's routes. What they have no neighbour for yet goes up translated, and the stack asks.
/// An origin's answer to this machine itself is no client's, and goes up as it is.
#[inline(always)]
pub(crate) fn go_back(packet: &Packet, parsed: &Parsed, ends: &Ends) -> Step<Verdict> {
    let hop = route::by_routes(packet, &ends.source, &ends.destination);
    if let Err(end) = &hop
        && *end != Verdict::pass_for(Reason::Unresolved)
    {
        return Err(*end);
    }
    nat::translate(packet, parsed, ends)?;
    count::reason(Reason::TranslatedBack);
    let hop = hop?;
    hop.write(packet)?;
    Ok(hop.send())
}
