//! The straight way: what nearly every packet needs, and nothing else.
//!
//! A plain IPv4 packet to an exact port of a VIP in direct server return, whose slot is at home with a backend whose next hop is known: its
//! way is decided here from a dozen loads. Whatever is different in any respect is `None`, and goes the long way (`story`), which comes to the same
//! end for those that could have gone here: nothing is changed, counted or spent before that is certain.
//! Half of what the long way costs is understanding packets of which there are few; a test holds the two together.

use crate::{count, guard, maps};
use abi::{
    AWAY, Address, Guard, GuardVerdict, MODE_DSR, NO_BACKEND, NO_SERVICE, PortCell, PortKey, Reason, Service, Settings, VIA_IPIP, VIA_L2,
    flow_hash, protocols, service_flags, slot_of,
};
use prog::packet::Packet;
use prog::plain::{self, Plain};
use prog::route::{self, Hop};
use prog::verdict::{Step, Verdict};
use prog::wire::Ipv4;

/// Bytes of the largest packet on the way to a backend that does not say.
const MTU: usize = 1500;

/// The whole way of a common packet; `None` for all others.
#[inline(always)]
pub(crate) fn go(packet: &Packet) -> Option<Step<Verdict>> {
    let settings = maps::settings()?;
    let plain = Plain::read(packet)?;
    let number = service(&plain)?;
    let service = maps::service(number)?;
    // Two words that may come from far: both are asked for before either is needed.
    let glance = guard::glance(plain.source(), settings);
    let owner = owner(&plain, service, settings)?;
    let backend = maps::backend(owner)?;
    let overhead = match service.via {
        VIA_IPIP if backend.address.is_v4() && settings.source_v4.v4_word() != 0 => size_of::<Ipv4>(),
        VIA_L2 => 0,
        _ => return None,
    };
    let mtu = if backend.mtu == 0 { MTU } else { usize::from(backend.mtu) };
    let destination = route::known(backend, settings)?;
    if usize::from(plain.bytes()) + overhead > mtu {
        return None;
    }
    if let Err(end) = admit(&plain, settings, glance) {
        return Some(Err(end));
    }
    count::forwarded(number, owner, plain.bytes());
    if overhead == 0 {
        Some(redirect(packet, Hop::to(destination, packet, backend, plain.own())))
    } else {
        Some(plain::enclose(packet, backend, destination, settings))
    }
}

/// The number of the service.
#[inline(always)]
fn service(plain: &Plain) -> Option<u32> {
    let cell = PortCell::new(plain.destination(), plain.destination_port(), plain.protocol() == protocols::UDP);
    match cell.service_in(maps::port_cell(cell.place())) {
        NO_SERVICE => match service_by_hash(plain.destination(), plain.destination_port(), plain.protocol()) {
            NO_SERVICE => None,
            number => Some(number),
        },
        number => Some(number),
    }
}

/// The owner of its slot, if that is at home and nothing else has a say.
#[inline(always)]
fn owner(plain: &Plain, service: &Service, settings: &Settings) -> Option<u32> {
    let has_state = plain.protocol() == protocols::UDP && (service.session_s != 0 || service.flags & service_flags::QUIC != 0);
    if service.mode != MODE_DSR || has_state {
        return None;
    }
    let ports = if service.flags & service_flags::HASH_SOURCE == 0 { plain.ports() } else { 0 };
    let hash = flow_hash(settings.hash_seed, &Address::from_v4_word(plain.source()), ports);
    let slot = maps::slot(service.table, slot_of(hash, settings.slots))?;
    if slot & AWAY == 0 && slot != NO_BACKEND { Some(slot) } else { None }
}

/// Through the guards.
#[inline(always)]
fn admit(plain: &Plain, settings: &Settings, glance: u64) -> Step<()> {
    if guard::is_near(plain.source(), glance) {
        match GuardVerdict::of(listed(plain.source(), settings.guard.wrapping_sub(1))) {
            GuardVerdict::Deny => return Err(Verdict::drop(Reason::Denied)),
            GuardVerdict::Allow => {
                count::reason(Reason::Allowed);
                return Ok(());
            }
            GuardVerdict::Unlisted | GuardVerdict::Partial => {}
        }
    }
    if !guard::has_limits(settings) {
        return Ok(());
    }
    guard::within(over_limits(plain.source(), plain.is_syn(), settings))
}

/// Out with another MAC.
#[inline(always)]
fn redirect(packet: &Packet, hop: Hop) -> Step<Verdict> {
    hop.write(packet)?;
    Ok(hop.send())
}

// What few packets need are functions of their own: what they lay down does not take stack from the rest.

#[inline(never)]
fn service_by_hash(destination: u32, port: u16, protocol: u8) -> u32 {
    maps::port(&PortKey { address: Address::from_v4_word(destination), port, protocol, padding: 0 }).unwrap_or(NO_SERVICE)
}

#[inline(never)]
fn listed(source: u32, list: u32) -> Guard {
    guard::listed_v4(source, list).bits()
}

#[inline(never)]
fn over_limits(source: u32, is_syn: bool, settings: &Settings) -> u32 {
    guard::over_limits(&Address::from_v4_word(source), is_syn, settings)
}
