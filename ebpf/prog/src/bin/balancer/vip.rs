//! Whose packet is it? From address, protocol and port to a service.

use crate::maps;
use abi::{FlowKey, NO_SERVICE, PortKey, Ports, Service};
use prog::parse::Parsed;

/// A service and its number.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// Its number.
    pub(crate) number: u32,
    /// What it does.
    pub(crate) service: &'static Service,
}

/// The service of a packet with ports.
#[inline(always)]
pub(crate) fn find(flow: &FlowKey) -> Option<Found> {
    found(maps::service_number(key(flow), flow.destination_port))
}

/// What the packet's address and protocol have, whatever its ports: nothing, when it is not ours.
#[inline(always)]
pub(crate) fn address(parsed: &Parsed) -> Option<&'static Ports> {
    maps::address(&key(&parsed.flow))
}

/// A service by its number.
#[inline(always)]
pub(crate) fn found(number: u32) -> Option<Found> {
    if number == NO_SERVICE {
        return None;
    }
    let service = maps::service(number)?;
    // A mode of 0 is a number nobody uses.
    if service.mode == 0 { None } else { Some(Found { number, service }) }
}

#[inline(always)]
fn key(flow: &FlowKey) -> PortKey {
    PortKey { address: flow.destination, port: 0, protocol: flow.protocol, padding: 0 }
}
