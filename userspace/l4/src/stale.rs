//! Pins that hold nothing any more: their slot is at home, or away for another time, or their flow has been silent for too long.
//!
//! No packet removes a pin, and none is ever evicted, so that no flood can; this is how the map gets room again.

use alloc::vec::Vec;

use abi::{FlowKey, Pin, PortKey, Service, flow_hash, service_flags, slot_of};

use crate::plan::Plan;

/// The flows among `pins` whose pin can be taken away, `silent_s` seconds of silence being the end of a flow.
pub fn stale_pins<'a>(plan: &Plan, pins: &'a [(FlowKey, Pin)], now_s: u32, silent_s: u32) -> Vec<&'a FlowKey> {
    let is_live =
        |(flow, pin): &&(FlowKey, Pin)| now_s.saturating_sub(pin.seen_s) < silent_s && episode_of(plan, flow) == Some(pin.episode);
    pins.iter().filter(|entry| !is_live(entry)).map(|(flow, _)| flow).collect()
}

/// The episode of the flow's slot, when it is away.
fn episode_of(plan: &Plan, flow: &FlowKey) -> Option<u32> {
    let service = service_of(plan, flow)?;
    let ports = if service.flags & service_flags::HASH_SOURCE != 0 { 0 } else { both_ports(flow) };
    let slots = &plan.tables.get(&service.table)?.slots;
    let slot = slot_of(flow_hash(plan.settings.hash_seed, &flow.source, ports), slots.len());
    slots.away().get(&slot).map(|record| record.episode)
}

/// Both ports as the packet's four bytes have them.
fn both_ports(flow: &FlowKey) -> u32 {
    let ([a, b], [c, d]) = (flow.source_port.to_ne_bytes(), flow.destination_port.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

fn service_of<'a>(plan: &'a Plan, flow: &FlowKey) -> Option<&'a Service> {
    let key = PortKey { address: flow.destination, port: flow.destination_port, protocol: flow.protocol, padding: 0 };
    let port = u16::from_be(flow.destination_port);
    let in_range = || {
        let ports = plan.addresses.get(&PortKey { port: 0, ..key })?;
        let range = ports.ranges.iter().take(ports.count as usize).find(|range| (range.first..=range.last).contains(&port))?;
        Some(range.service)
    };
    plan.services.get(&plan.ports.get(&key).copied().or_else(in_range)?)
}
