//! The story of a packet that comes to the balancer.

use crate::icmp::{self, Message};
use crate::nat;
use crate::slot::{self, Choice};
use crate::vip::{self, Found};
use crate::{cookie, count, deliver, fragment, guard, log, maps, probe, quic, reset, sample, straight};
use abi::{FlowKey, MODE_DSR, MODE_NAT_GATEWAY, MODE_NAT_POOL, MODE_TERMINATE, Origin, Reason, Settings, protocols, service_flags};
use aya_ebpf::bindings::xdp_md;
use prog::packet::Packet;
use prog::parse::{self, Parsed, Piece};
use prog::verdict::{Step, Verdict};

/// Whose packet it is.
enum Whose {
    /// A client's, to a VIP; of a later fragment its first has said where it goes.
    Client(Found, Option<u32>),
    /// An echo request to a VIP.
    Echo(Found),
    /// An origin's that answers for a VIP.
    Origin(&'static Origin),
    /// An origin's, to a client of full NAT.
    Pooled(&'static FlowKey),
}

/// What the kernel is told of a packet.
#[inline(always)]
pub(crate) fn balance(context: *mut xdp_md) -> u32 {
    let packet = Packet::new(context);
    log::came(&packet);
    let verdict = match straight::go(&packet) {
        Some(Ok(verdict)) => verdict,
        Some(Err(verdict)) => count_end(context, verdict),
        None => long(context),
    };
    log::went(&packet, verdict);
    verdict.action()
}

/// All that the straight way does not take: a function of its own, so that the few registers that there are belong to the straight way.
#[inline(never)]
fn long(context: *mut xdp_md) -> Verdict {
    let packet = Packet::new(context);
    match story(&packet) {
        Ok(verdict) | Err(verdict) => end(&packet, verdict),
    }
}

#[inline(never)]
fn count_end(context: *mut xdp_md, verdict: Verdict) -> Verdict {
    end(&Packet::new(context), verdict)
}

/// Whatever the end is, it is counted.
#[inline(always)]
fn end(packet: &Packet, verdict: Verdict) -> Verdict {
    if let Some(reason) = verdict.reason() {
        count::number(reason);
        if verdict.is_drop() {
            sample::leave(packet, reason);
        }
    }
    verdict
}

/// From the frame to its end.
#[inline(always)]
fn story(packet: &Packet) -> Step<Verdict> {
    let settings = maps::settings().ok_or(Verdict::PASS)?;
    let mut parsed = parse::parse(packet)?;
    let whose = recognise(packet, &mut parsed, settings)?;
    let parsed = maps::note(&parsed).ok_or(Verdict::drop(Reason::Broken))?;
    let (found, owner) = match whose {
        Whose::Client(found, owner) => (found, owner),
        Whose::Echo(found) => {
            guard::admit(&parsed.flow.source, parsed.is_syn(), settings)?;
            return icmp::echo(packet, parsed, &found, settings);
        }
        Whose::Origin(origin) => return deliver::go_back(packet, parsed, &nat::from_origin(parsed, origin)),
        Whose::Pooled(flow) => return deliver::go_back(packet, parsed, &nat::from_pool(parsed, flow)),
    };
    guard::admit(&parsed.flow.source, parsed.is_syn(), settings)?;
    match found.service.mode {
        MODE_TERMINATE => {
            count::terminated(found.number, parsed.bytes);
            if found.service.flags & service_flags::COOKIES != 0 { cookie::screen(packet, parsed, settings) } else { Ok(Verdict::PASS) }
        }
        MODE_NAT_POOL => {
            let (choice, ends) = nat::through_pool(parsed, &found, settings)?;
            let delivery = deliver::to(parsed, &found, choice, settings)?;
            deliver::cross(packet, &delivery, &ends)
        }
        mode => {
            let choice = match owner.or_else(|| quic::steer(packet, parsed, &found)) {
                Some(backend) => Choice { backend, hash: 0, others: None },
                None => match slot::choose(parsed, &found, settings) {
                    Err(end) if end == slot::NOBODY && found.service.flags & service_flags::RESET != 0 => {
                        return reset::answer(packet, parsed);
                    }
                    chosen => chosen?,
                },
            };
            fragment::remember(parsed, choice.backend, settings);
            let delivery = deliver::to(parsed, &found, choice, settings)?;
            match mode {
                MODE_DSR => Ok(deliver::enclose(packet, &found, &delivery)?.send()),
                MODE_NAT_GATEWAY => deliver::cross(packet, &delivery, &nat::to_origin(parsed, delivery.backend)),
                _ => Err(Verdict::drop(Reason::Broken)),
            }
        }
    }
}

/// Whose packet is it? A later fragment's owner is known when its first was seen.
#[inline(always)]
fn recognise(packet: &Packet, parsed: &mut Parsed, settings: &Settings) -> Step<Whose> {
    match parsed.flow.protocol {
        protocols::TCP | protocols::UDP => {}
        protocols::ICMP | protocols::ICMPV6 => {
            return match icmp::read(packet, parsed, settings)? {
                Message::Echo(found) => Ok(Whose::Echo(found)),
                Message::About => match vip::find(&parsed.flow) {
                    Some(found) if found.service.mode == MODE_DSR => Ok(Whose::Client(found, None)),
                    Some(_) | None => Err(Verdict::PASS),
                },
            };
        }
        _ => return Err(Verdict::PASS),
    }
    if parsed.piece == Piece::Later {
        return later_fragment(parsed);
    }
    if let Err(broken) = parse::transport(packet, parsed) {
        // Ours to drop and to count, or the stack's.
        return Err(if vip::address(parsed).is_some() { broken } else { Verdict::PASS });
    }
    if let Some(found) = vip::find(&parsed.flow) {
        return Ok(Whose::Client(found, None));
    }
    // The whole of a flow says more than an origin and its port, which may serve both kinds of VIP.
    if let Some(flow) = nat::pooled(parsed) {
        return Ok(Whose::Pooled(flow));
    }
    if let Some(origin) = nat::origin(parsed) {
        fragment::remember(parsed, 0, settings);
        return Ok(Whose::Origin(origin));
    }
    Err(probe::answered(packet, parsed, settings))
}

#[inline(always)]
fn later_fragment(parsed: &mut Parsed) -> Step<Whose> {
    let ports = vip::address(parsed);
    if let Some(owner) = fragment::recall(parsed) {
        if ports.is_none() {
            return nat::origin(parsed).map(Whose::Origin).ok_or(Verdict::PASS);
        }
        let found = vip::find(&parsed.flow).ok_or(Verdict::drop(Reason::NoFirstFragment))?;
        return Ok(Whose::Client(found, Some(owner)));
    }
    match vip::found(ports.ok_or(Verdict::PASS)?.portless) {
        Some(found) if found.service.flags & service_flags::HASH_SOURCE != 0 => Ok(Whose::Client(found, None)),
        Some(_) | None => Err(Verdict::drop(Reason::NoFirstFragment)),
    }
}
