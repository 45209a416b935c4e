//! Who gets it? The owner of the flow's slot; and where the slot is away from home, the flow's own owner.
//!
//! Stateless first: for a slot at home one word of the table says it, and nothing else is read or written. The rules for slots that are
//! away stand in `abi::slot`.

use crate::budget::{self, Budget};
use crate::vip::Found;
use crate::{count, maps};
use abi::{
    AWAY, Away, AwayKey, NO_BACKEND, OWNER, Pin, Reason, Session, Settings, Slot, VIA_GUE, backend_flags, flow_hash, pin_flags, protocols,
    service_flags, slot_of,
};
use prog::parse::Parsed;
use prog::verdict::{Step, Verdict};

/// Nobody lives.
pub(crate) const NOBODY: Verdict = Verdict::drop(Reason::NoBackend);

/// Where a packet goes.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    /// The backend's number; never 0.
    pub(crate) backend: u32,
    /// The flow's hash: entropy for envelopes.
    pub(crate) hash: u32,
    /// The slot's other owners, where the envelope is to say who else may have the flow.
    pub(crate) others: Option<&'static Away>,
}

/// Choose the backend of a packet.
#[inline(always)]
pub(crate) fn choose(parsed: &Parsed, found: &Found, settings: &Settings) -> Step<Choice> {
    let service = found.service;
    let (slot, mut choice) = home(parsed, found, settings)?;
    let number = slot_of(choice.hash, settings.slots);
    if service.session_s != 0 && parsed.flow.protocol == protocols::UDP {
        choice.backend = session(parsed, service.session_s, choice.backend, settings);
    } else if slot & AWAY != 0
        && let Some(away) = maps::away(&AwayKey { table: service.table, slot: number })
    {
        choice = owner_of_away(parsed, found, away, settings, choice);
    }
    if choice.backend == NO_BACKEND { Err(NOBODY) } else { Ok(choice) }
}

/// Choose the backend of a flow that is kept elsewhere: who takes new ones.
#[inline(always)]
pub(crate) fn choose_new(parsed: &Parsed, found: &Found, settings: &Settings) -> Step<Choice> {
    let (slot, choice) = home(parsed, found, settings)?;
    if slot & OWNER == NO_BACKEND { Err(NOBODY) } else { Ok(choice) }
}

/// The flow's slot and its number.
#[inline(always)]
fn home(parsed: &Parsed, found: &Found, settings: &Settings) -> Step<(Slot, Choice)> {
    let service = found.service;
    let ports = if service.flags & service_flags::HASH_SOURCE == 0 { parsed.ports() } else { 0 };
    let hash = flow_hash(settings.hash_seed, &parsed.flow.source, ports);
    let slot = maps::slot(service.table, slot_of(hash, settings.slots)).ok_or(Verdict::drop(Reason::Broken))?;
    Ok((slot, Choice { backend: slot & OWNER, hash, others: None }))
}

/// The owner of a flow whose slot is away.
#[inline(always)]
fn owner_of_away(parsed: &Parsed, found: &Found, away: &'static Away, settings: &Settings, choice: Choice) -> Choice {
    let current = Choice { backend: away.current, ..choice };
    if parsed.flow.protocol != protocols::TCP {
        return current;
    }
    let service = found.service;
    if service.via == VIA_GUE && service.flags & service_flags::CHAIN != 0 {
        let others = if parsed.is_syn() { None } else { Some(away) };
        return Choice { others, ..current };
    }
    if parsed.is_syn() {
        return Choice { backend: owner_of_new(parsed, away, settings), ..choice };
    }
    let backend = owner_of_old(parsed, away);
    if service.flags & service_flags::RESET != 0 && is_down(backend) { current } else { Choice { backend, ..choice } }
}

/// The owner of a connection that begins in an away slot: the current one, which a pin must remember.
#[inline(always)]
fn owner_of_new(parsed: &Parsed, away: &Away, settings: &Settings) -> u32 {
    let pin = Pin { backend: away.current, episode: away.episode, seen_s: budget::second(), flags: 0 };
    if let Some(earlier) = maps::pin(&parsed.flow) {
        // The port is used again: an older owner must not get the new connection's packets.
        *earlier = pin;
        return away.current;
    }
    if away.current == away.fallback || away.current == NO_BACKEND {
        return away.current;
    }
    if budget::spend(Budget::Pins, settings.pin_writes_per_s, settings) && maps::write_pin(&parsed.flow, &pin) {
        count::reason(Reason::Pinned);
        return away.current;
    }
    count::reason(Reason::Unpinned);
    // What has no pin goes to the fallback from its second packet on; so if that one lives, from its first.
    if away.fallback == NO_BACKEND || is_down(away.fallback) { away.current } else { away.fallback }
}

/// The owner of a connection that is under way in an away slot.
#[inline(always)]
fn owner_of_old(parsed: &Parsed, away: &Away) -> u32 {
    if let Some(pin) = maps::pin(&parsed.flow)
        && pin.episode == away.episode
    {
        let now = budget::second();
        if pin.flags & pin_flags::CONFIRMED == 0 || now.wrapping_sub(pin.seen_s) >= Pin::REFRESH_S {
            pin.seen_s = now;
            pin.flags |= pin_flags::CONFIRMED;
        }
        return pin.backend;
    }
    if away.fallback == NO_BACKEND { away.current } else { away.fallback }
}

/// The owner of a UDP session, which begins with its first packet.
#[inline(always)]
fn session(parsed: &Parsed, session_s: u32, owner: u32, settings: &Settings) -> u32 {
    let now = budget::second();
    if let Some(session) = maps::session(&parsed.flow) {
        let quiet = now.wrapping_sub(session.seen_s);
        if quiet >= session_s || session.backend == NO_BACKEND {
            session.backend = owner;
        }
        if quiet > session_s / 4 {
            session.seen_s = now;
        }
        return session.backend;
    }
    // Nobody is no owner to stay with.
    if owner == NO_BACKEND {
        return owner;
    }
    let written = budget::spend(Budget::Pins, settings.pin_writes_per_s, settings)
        && maps::write_session(&parsed.flow, &Session { backend: owner, seen_s: now });
    count::reason(if written { Reason::Pinned } else { Reason::Unpinned });
    owner
}

/// Do health checks say that it is down?
#[inline(always)]
pub(crate) fn is_down(backend: u32) -> bool {
    maps::backend(backend).is_some_and(|backend| backend.flags & backend_flags::DOWN != 0)
}
