//! The story of a packet that comes to the balancer.

use crate::encap::{self, Letter};
use crate::packet::Packet;
use crate::parse::{self, Parsed, Piece};
use crate::route::{self, Link};
use crate::slot::{self, Choice};
use crate::verdict::{Step, Verdict};
use crate::vip::{self, Found};
use crate::{count, fragment, maps};
use abi::{Backend, MODE_DSR, MODE_TERMINATE, Reason, Settings, protocols, service_flags};

/// What the kernel is told of a packet. Whatever its end is, it is counted.
#[inline(always)]
pub fn balance(packet: &Packet) -> u32 {
    let verdict = match story(packet) {
        Ok(verdict) | Err(verdict) => verdict,
    };
    if let Some(reason) = verdict.reason() {
        count::reason(reason);
    }
    verdict.action()
}

/// From the frame to its end.
#[inline(always)]
fn story(packet: &Packet) -> Step<Verdict> {
    let settings = maps::settings().ok_or(Verdict::Pass)?;
    let mut parsed = parse::parse(packet)?;
    let (found, owner) = recognise(packet, &mut parsed)?;
    let parsed = maps::note(&parsed).ok_or(Verdict::Drop(Reason::Broken))?;
    if found.service.mode == MODE_TERMINATE {
        return Ok(Verdict::Pass);
    }
    let choice = match owner {
        Some(backend) => Choice { backend, hash: 0, others: None },
        None => slot::choose(parsed, &found, settings)?,
    };
    let backend = maps::backend(choice.backend).ok_or(Verdict::Drop(Reason::Broken))?;
    fragment::remember(parsed, choice.backend, settings);
    count::forwarded(found.number, choice.backend, parsed.bytes);
    match found.service.mode {
        MODE_DSR => deliver(packet, &found, &Delivery { parsed, backend, choice: &choice, settings }),
        _ => Err(Verdict::Drop(Reason::Broken)),
    }
}

/// Whose packet is it? A later fragment's owner is known when its first was seen.
#[inline(always)]
fn recognise(packet: &Packet, parsed: &mut Parsed) -> Step<(Found, Option<u32>)> {
    if parsed.flow.protocol != protocols::TCP && parsed.flow.protocol != protocols::UDP {
        return Err(Verdict::Pass);
    }
    if parsed.piece == Piece::Later {
        let ports = vip::address(parsed).ok_or(Verdict::Pass)?;
        if let Some(owner) = fragment::recall(parsed) {
            let found = vip::find(&parsed.flow).ok_or(Verdict::Drop(Reason::NoFirstFragment))?;
            return Ok((found, Some(owner)));
        }
        return match vip::found(ports.portless) {
            Some(found) if found.service.flags & service_flags::HASH_SOURCE != 0 => Ok((found, None)),
            Some(_) | None => fragment::lost(),
        };
    }
    if let Err(broken) = parse::transport(packet, parsed) {
        // Ours to drop and to count, or the stack's.
        return Err(if vip::address(parsed).is_some() { broken } else { Verdict::Pass });
    }
    Ok((vip::find(&parsed.flow).ok_or(Verdict::Pass)?, None))
}

/// A packet and who gets it.
struct Delivery<'a> {
    parsed: &'a Parsed,
    backend: &'a Backend,
    choice: &'a Choice,
    settings: &'a Settings,
}

/// Direct server return: the packet as it is, in an envelope or with another MAC.
#[inline(always)]
fn deliver(packet: &Packet, found: &Found, delivery: &Delivery<'_>) -> Step<Verdict> {
    let Delivery { parsed, backend, choice, settings } = *delivery;
    let link = Link::read(packet, parsed)?;
    let hop = route::to_backend(packet, backend, settings, &link)?;
    encap::send(packet, found.service.via, &Letter { parsed, backend, choice, link: &link, hop: &hop, settings })
}
