//! A plain model of forwarding agrees with the kernel: on a hundred thousand random packets, between random changes of the configuration.
//!
//! The model reads what the plan says that the maps hold, and keeps pins and sessions of its own. It knows nothing of bytes: how packets look is
//! what the other tables are for.

use abi::{
    AWAY, Away, FlowKey, MODE_NAT_GATEWAY, NO_BACKEND, OWNER, PortKey, Service, VIA_GUE, backend_flags, flow_hash, protocols,
    service_flags, slot_of,
};
use aya::TestRun as _;
use aya::programs::TestRunOptions;
use config::{Cluster, Endpoint, Snapshot, compile, load_text};
use ebpf::Place;
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp, udp};
use ebpf::world::{address, ip};
use fastrand::Rng;
use l4::{Balancer, Machine, Plan, Slots, Wishes};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

const CHANGES: u32 = 100;
const PACKETS: u32 = 1_000;
const SETTLE_S: u32 = 50;
const SEED: u64 = 0x51_u64;

const FIN: u8 = 1;
const RST: u8 = 4;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Up to the stack.
    Pass,
    /// Dropped.
    Drop,
    /// Answered.
    Reset,
    /// To a backend, its envelope naming so many others.
    To(abi::Address, u8),
}

/// What the model keeps of flows.
#[derive(Default)]
struct Model {
    /// Backend and episode.
    pins: HashMap<FlowKey, (u32, u32)>,
    sessions: HashMap<FlowKey, u32>,
}

impl Model {
    fn forward(&mut self, plan: &Plan, flow: FlowKey, flags: u8) -> End {
        let Some(service) = service_of(plan, &flow) else { return End::Pass };
        let by_source = service.flags & service_flags::HASH_SOURCE != 0;
        let ports = if by_source { 0 } else { u32::from(flow.source_port) | u32::from(flow.destination_port) << 16 };
        let slots = plan.tables().find(|(number, _)| *number == service.table).expect("services have tables").1;
        let slot = slot_of(flow_hash(plan.settings.hash_seed, &flow.source, ports), slots.len());
        let (backend, others) = self.owner(plan, service, (slots, slot), (flow, flags));
        if backend == NO_BACKEND {
            let resets = service.flags & service_flags::RESET != 0 && flow.protocol == protocols::TCP && flags & RST == 0;
            return if resets { End::Reset } else { End::Drop };
        }
        End::To(plan.backends[&backend].address, others)
    }

    fn owner(&mut self, plan: &Plan, service: &Service, (slots, slot): (&Slots, u32), (flow, flags): (FlowKey, u8)) -> (u32, u8) {
        let word = slots.words()[slot as usize];
        let current = word & OWNER;
        if flow.protocol == protocols::UDP {
            let has_sessions = service.session_s != 0;
            // Nobody is no owner to stay with.
            let kept = self.sessions.get(&flow).copied().filter(|_| has_sessions);
            if has_sessions && kept.is_none() && current != NO_BACKEND {
                self.sessions.insert(flow, current);
            }
            return (kept.unwrap_or(current), 0);
        }
        let Some(away) = slots.away().get(&slot).filter(|_| word & AWAY != 0) else { return (current, 0) };
        let is_syn = flags & (SYN | ACK) == SYN;
        if service.via == VIA_GUE && service.flags & service_flags::CHAIN != 0 {
            let named = [away.fallback].into_iter().chain(away.alternates).take_while(|other| *other != NO_BACKEND).count();
            return (current, if is_syn { 0 } else { u8::try_from(named).expect("a few") });
        }
        if is_syn { (self.begin(flow, away), 0) } else { (self.goes_on(plan, service, flow, away), 0) }
    }

    /// With a budget that never ends.
    fn begin(&mut self, flow: FlowKey, away: &Away) -> u32 {
        let needs_none = away.current == away.fallback || away.current == NO_BACKEND;
        if self.pins.contains_key(&flow) || !needs_none {
            self.pins.insert(flow, (away.current, away.episode));
        }
        away.current
    }

    fn goes_on(&self, plan: &Plan, service: &Service, flow: FlowKey, away: &Away) -> u32 {
        let pinned = self.pins.get(&flow).filter(|(_, episode)| *episode == away.episode).map(|(backend, _)| *backend);
        let unpinned = if away.fallback == NO_BACKEND { away.current } else { away.fallback };
        let backend = pinned.unwrap_or(unpinned);
        let is_down = plan.backends.get(&backend).is_some_and(|backend| backend.flags & backend_flags::DOWN != 0);
        if service.flags & service_flags::RESET != 0 && is_down { away.current } else { backend }
    }
}

fn service_of<'a>(plan: &'a Plan, flow: &FlowKey) -> Option<&'a Service> {
    let port = u16::from_be(flow.destination_port);
    let exact = PortKey::new(flow.destination, flow.protocol, port);
    let ranges = plan.addresses.get(&PortKey { port: 0, ..exact });
    let in_range = || {
        let ranges = ranges?;
        let range = ranges.ranges[..ranges.count as usize].iter().find(|range| (range.first..=range.last).contains(&port))?;
        Some(range.service)
    };
    plan.services.get(&plan.ports.get(&exact).copied().or_else(in_range)?)
}

/// How every endpoint is: absent, drained, down, or well.
type States = [[u8; 6]; 3];

fn text(states: &States) -> String {
    let mut text = format!(
        "version: 1
l4: {{ hash_seed: 7, table_size: 4093, settle: {SETTLE_S}s, limits: {{ pins: 1000000000 }} }}
vips:
  a: {{ addresses: [203.0.113.10, '2001:db8::10'], ports: [tcp/443, tcp/8000-8009, udp/443], dsr: ipip, to: edge }}
  b: {{ addresses: [203.0.113.11, '2001:db8::11'], ports: [all], dsr: gue, hash: source, on_down: reset, to: edge }}
  c: {{ addresses: [203.0.113.12], ports: [tcp/80, udp/80], dsr: {{ via: gue, origins: sluice }}, to: chain }}
  d: {{ addresses: [203.0.113.13], ports: [tcp/80, udp/80], nat: none, to: gate }}
  e: {{ addresses: [203.0.113.14], ports: [udp/53], session: 12h, dsr: ipip, to: edge }}
clusters:
"
    );
    for ((name, states), net) in ["edge", "chain", "gate"].into_iter().zip(states).zip(1..) {
        let members = (1..).zip(states).filter(|(_, state)| **state != ABSENT).map(|(host, state)| {
            let address = if name == "edge" && host > 4 { format!("fd00:{net}::{host}") } else { format!("10.0.{net}.{host}") };
            format!("{{ address: '{address}', state: {} }}", if *state == DRAINED { "drained" } else { "active" })
        });
        let members = members.collect::<Vec<_>>().join(", ");
        writeln!(text, "  {name}: {{ endpoints: [{members}] }}").expect("a String takes everything");
    }
    text
}

const WELL: u8 = 0;
const ABSENT: u8 = 1;
const DRAINED: u8 = 2;
const DOWN: u8 = 3;

/// Some endpoints are otherwise than before; the first of each cluster is always there, though it may be down.
fn change(states: &mut States, random: &mut Rng) {
    for cluster in states.iter_mut() {
        // Now and then nobody lives.
        if random.u8(..16) == 0 {
            cluster.fill(DOWN);
            continue;
        }
        for _ in 0..random.usize(1..3) {
            cluster[random.usize(..cluster.len())] = random.u8(..4);
        }
        if cluster[0] == ABSENT {
            cluster[0] = WELL;
        }
    }
}

fn snapshot(states: &States) -> Snapshot {
    let loaded = load_text(Path::new("/etc/sluice.yaml"), text(states)).expect("YAML");
    compile(&loaded, None).unwrap_or_else(|rejections| panic!("{}\n{}", rejections[0], text(states)))
}

fn next(plan: &Plan, states: &States, now_s: u32) -> Plan {
    let is_up = |cluster: &Cluster, endpoint: &Endpoint| {
        let states = states[["edge", "chain", "gate"].iter().position(|name| **name == *cluster.name).expect("one of three")];
        let host: usize = endpoint.name.rsplit([':', '.']).next().and_then(|host| host.parse().ok()).expect("a number");
        states[host - 1] != DOWN
    };
    let machine = Machine {
        cpus: 1,
        source_v4: Some("10.0.0.2".parse().expect("an address")),
        source_v6: Some("fd00::2".parse().expect("an address")),
        gateway_mac: [2, 0, 0, 0, 0, 9],
        ..Machine::default()
    };
    plan.next(Wishes { snapshot: &snapshot(states), is_up: &is_up, hop: &|_| None, machine, now_s }).expect("a plan")
}

/// A packet of a few clients, most of them to a VIP.
fn packet(random: &mut Rng) -> (FlowKey, u8, Vec<u8>) {
    let is_v4 = random.u8(..4) > 0;
    let (source, vips): (String, &[&str]) = if is_v4 {
        (
            format!("198.51.100.{}", random.u8(1..30)),
            &["203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.14", "203.0.113.99"],
        )
    } else {
        (format!("2001:db8:c::{}", random.u8(1..30)), &["2001:db8::10", "2001:db8::11", "2001:db8::99"])
    };
    let vip = vips[random.usize(..vips.len())];
    let (source_port, port) = (random.u16(4_000..4_010), [443, 8_000, 8_009, 8_010, 80, 53][random.usize(..6)]);
    let is_tcp = random.u8(..3) > 0;
    let flags = [SYN, SYN, ACK, ACK, ACK, SYN | ACK, FIN | ACK, RST][random.usize(..8)];
    let ends: (IpAddr, IpAddr) = (ip(&source), ip(vip));
    let (protocol, inside) = if is_tcp {
        (protocols::TCP, tcp(ends, (source_port, port), flags, b"x"))
    } else {
        (protocols::UDP, udp(ends, (source_port, port), b"x"))
    };
    let inside = if is_v4 { ipv4(ends, protocol, &V4::default(), &inside) } else { ipv6(ends, protocol, &V6::default(), &inside) };
    let flow = FlowKey {
        source: address(&source),
        destination: address(vip),
        source_port: source_port.to_be(),
        destination_port: port.to_be(),
        protocol,
        padding: [0; 3],
    };
    (flow, if is_tcp { flags } else { 0 }, frame(OWN_MAC, CLIENT_MAC, &[], &inside))
}

/// What the kernel makes of a packet.
fn kernel(balancer: &mut Balancer, service: Option<Service>, frame: &[u8]) -> End {
    let mut out = vec![0_u8; 4096];
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.data_out = Some(&mut out);
    let result = balancer.program().expect("it is loaded").test_run(options).expect("the kernel runs it");
    match result.return_value {
        1 => End::Drop,
        2 => End::Pass,
        // Back to whom it came from, or on to the gateway.
        3 if out[..6] == CLIENT_MAC => End::Reset,
        3 => To::read(&out, service.expect("only services forward")).end(),
        other => panic!("no verdict: {other}"),
    }
}

/// The outermost header's destination, and what follows it.
struct To<'a> {
    address: abi::Address,
    rest: &'a [u8],
    has_envelope: bool,
}

impl<'a> To<'a> {
    fn read(out: &'a [u8], service: Service) -> Self {
        let (destination, rest) = if out[12] == 0x08 { (30..34, &out[34..]) } else { (38..54, &out[54..]) };
        let bytes = &out[destination];
        let address = match bytes.try_into() {
            Ok(bytes) => abi::Address::v4(bytes),
            Err(_) => abi::Address::v6(bytes.try_into().expect("sixteen")),
        };
        Self { address, rest, has_envelope: service.mode != MODE_NAT_GATEWAY && service.via == VIA_GUE }
    }

    /// A GUE header of variant 0 begins with zero bits, and has our private data: its kind, then how many are named.
    fn end(&self) -> End {
        let gue = &self.rest[8..];
        let others = if self.has_envelope && gue[0] >> 6 == 0 { gue[5] } else { 0 };
        End::To(self.address, others)
    }
}

#[test]
fn the_model_agrees() {
    let place = Place::new("model");
    let mut balancer = place.balancer();
    let mut random = Rng::with_seed(SEED);
    let (mut model, mut plan, mut states, mut now_s) = (Model::default(), Plan::default(), [[WELL; 6]; 3], 1_000);
    let mut seen = HashMap::new();
    for step in 0..CHANGES {
        let after = next(&plan, &states, now_s);
        l4::apply(&mut balancer, &plan, &after).expect("written");
        plan = after;
        for number in 0..PACKETS {
            let (flow, flags, frame) = packet(&mut random);
            let service = service_of(&plan, &flow).copied();
            let expect = model.forward(&plan, flow, flags);
            let got = kernel(&mut balancer, service, &frame);
            assert_eq!(got, expect, "change {step}, packet {number}: {flow:?}, flags {flags}, {service:?}\n{}", text(&states));
            let kind = match expect {
                End::To(_, others) => {
                    if others == 0 {
                        "forwarded"
                    } else {
                        "with others named"
                    }
                }
                End::Pass => "passed",
                End::Drop => "dropped",
                End::Reset => "reset",
            };
            *seen.entry(kind).or_insert(0_u32) += 1;
        }
        let kept: HashMap<FlowKey, (u32, u32)> =
            balancer.kept().expect("read").pins.into_iter().map(|(flow, pin)| (flow, (pin.backend, pin.episode))).collect();
        assert_eq!(kept, model.pins, "pins after change {step}");
        change(&mut states, &mut random);
        now_s += random.u32(1..SETTLE_S * 2);
    }
    assert!(["forwarded", "with others named", "passed", "dropped", "reset"].iter().all(|kind| seen.get(kind) > Some(&100)), "{seen:?}");
    assert!(model.pins.len() > 100, "{} pins", model.pins.len());
}
