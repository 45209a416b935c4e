//! What is kept of flows and holds nothing any more: pins whose slot is at home, or away for another time, and flows, pinned or of full NAT, that
//! have been silent for too long.
//!
//! No packet removes any of it, and none is ever evicted, so that no flood can; this is how the maps get room again.

use alloc::vec::Vec;

use abi::{Address, FlowKey, NatFlow, Pin, PortKey, Service, Settings, flow_hash, protocols, service_flags, slot_of, tcp_flags};

use crate::plan::Plan;

/// The flows among `pins` whose pin can be taken away, `silent_s` seconds of silence being the end of a flow.
pub fn stale_pins<'a>(plan: &Plan, pins: &'a [(FlowKey, Pin)], now_s: u32, silent_s: u32) -> Vec<&'a FlowKey> {
    let is_live =
        |(flow, pin): &&(FlowKey, Pin)| now_s.saturating_sub(pin.seen_s) < silent_s && episode_of(plan, flow) == Some(pin.episode);
    pins.iter().filter(|entry| !is_live(entry)).map(|(flow, _)| flow).collect()
}

/// Silence after which a connection that one side has closed is over: what TCP itself waits at most (RFC 9293, 3.4.2).
const CLOSED_S: u32 = 120;
/// Silence after which a connection that was reset is over: segments may still be under way.
const RESET_S: u32 = 10;

/// The flows of full NAT among `flows` that are over, with their origin's address.
pub fn stale_nat<'a>(plan: &Plan, flows: &'a [(FlowKey, NatFlow)], now_s: u32) -> Vec<(&'a FlowKey, &'a NatFlow, Address)> {
    let is_over = |flow: &FlowKey, kept: &NatFlow| now_s.saturating_sub(kept.seen_s) >= silence_s(&plan.settings, flow, kept);
    let origin = |kept: &NatFlow| plan.backends.get(&kept.backend).map_or_else(Address::default, |backend| backend.address);
    flows.iter().filter(|(flow, kept)| is_over(flow, kept)).map(|(flow, kept)| (flow, kept, origin(kept))).collect()
}

/// How long a flow may be silent.
fn silence_s(settings: &Settings, flow: &FlowKey, kept: &NatFlow) -> u32 {
    if flow.protocol != protocols::TCP {
        return settings.nat_udp_idle_s;
    }
    let seen = |flag: u8| kept.tcp & u32::from(flag) != 0;
    if seen(tcp_flags::RST) {
        RESET_S.min(settings.nat_tcp_idle_s)
    } else if seen(tcp_flags::FIN) {
        CLOSED_S.min(settings.nat_tcp_idle_s)
    } else {
        settings.nat_tcp_idle_s
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Held;

    #[test]
    fn flows_of_full_nat_end_by_silence() {
        let settings = Settings { nat_tcp_idle_s: 3_600, nat_udp_idle_s: 60, ..Settings::default() };
        let plan = Plan::adopt(Held { settings, ..Held::default() });
        let (fin, rst) = (u32::from(tcp_flags::FIN), u32::from(tcp_flags::RST));
        for (what, protocol, tcp, silent_s, is_over) in [
            ("a datagram ago", protocols::UDP, 0, 59, false),
            ("no datagrams", protocols::UDP, 0, 60, true),
            ("established and idle", protocols::TCP, 0, 3_599, false),
            ("forgotten", protocols::TCP, 0, 3_600, true),
            ("half closed", protocols::TCP, fin, 119, false),
            ("closed", protocols::TCP, fin, 120, true),
            ("reset just now", protocols::TCP, rst | fin, 9, false),
            ("reset", protocols::TCP, rst | fin, 10, true),
        ] {
            let flow = FlowKey { protocol, ..FlowKey::default() };
            let flows = [(flow, NatFlow { tcp, seen_s: 10_000, ..NatFlow::default() })];
            assert_eq!(stale_nat(&plan, &flows, 10_000 + silent_s).len(), usize::from(is_over), "{what}");
        }
    }
}
