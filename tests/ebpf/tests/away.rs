//! Slots that are away: who gets new connections, who keeps old ones, what is written, and where the budgets end.

use abi::{
    AWAY, Away, Backend, FlowKey, MODE_DSR, Reason, Service, Settings, VIA_GUE, VIA_L2, backend_flags, flow_hash, service_flags, slot_of,
};
use ebpf::kernel::{Kernel, SLOTS, Verdict};
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp, udp};
use ebpf::world::{CLIENT4, CLIENT6, PORT, SERVICE, TABLE, VIP4, VIP6, address, ip, origin, origin_mac, settings, world};

/// Who owned the slot at home; who owns it now; who in between.
const FALLBACK: u32 = 1;
const CURRENT: u32 = 2;
const BETWEEN: u32 = 3;
const EPISODE: u32 = 5;

fn slot(port: u16) -> u32 {
    let ports = u32::from(port.to_be()) | u32::from(PORT.to_be()) << 16;
    slot_of(flow_hash(settings().hash_seed, &address(CLIENT4), ports), SLOTS)
}

fn segment(port: u16, flags: u8) -> Vec<u8> {
    let ends = (ip(CLIENT4), ip(VIP4));
    frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, 6, &V4::default(), &tcp(ends, (port, PORT), flags, b"")))
}

fn flow(port: u16) -> FlowKey {
    FlowKey {
        source: address(CLIENT4),
        destination: address(VIP4),
        source_port: port.to_be(),
        destination_port: PORT.to_be(),
        protocol: 6,
        padding: [0; 3],
    }
}

/// All slots at home with [`FALLBACK`], but those of the ports.
fn moved(service: Service, ports: &[u16], away: Away) -> Kernel {
    let mut kernel = world(service, FALLBACK);
    for port in ports {
        kernel.away(TABLE, slot(*port), away);
    }
    let slots: Vec<u32> = ports.iter().map(|port| slot(*port)).collect();
    kernel.table(TABLE, |at| if slots.contains(&at) { away.current | AWAY } else { FALLBACK });
    kernel
}

fn l2(flags: u32) -> Service {
    Service { mode: MODE_DSR, via: VIA_L2, flags, ..Service::default() }
}

fn away() -> Away {
    Away { current: CURRENT, fallback: FALLBACK, episode: EPISODE, ..Away::default() }
}

/// The origin that a packet went to.
fn owner(kernel: &Kernel, frame: &[u8]) -> u32 {
    let (verdict, out) = kernel.run(frame);
    assert_eq!(verdict, Verdict::Transmit);
    assert_eq!(out[..5], origin_mac(0)[..5]);
    u32::from(out[5])
}

#[test]
fn a_slot_at_home_keeps_nothing() {
    let mut kernel = world(l2(0), FALLBACK);
    for flags in [SYN, ACK] {
        assert_eq!(owner(&kernel, &segment(4000, flags)), FALLBACK);
    }
    assert_eq!((kernel.pin(flow(4000)), kernel.reason(Reason::Pinned)), (None, 0));
}

#[test]
fn old_flows_stay_and_new_ones_are_pinned() {
    let mut kernel = moved(l2(0), &[4000, 4001], away());
    assert_eq!(owner(&kernel, &segment(4000, ACK)), FALLBACK, "it began at home");
    assert_eq!(owner(&kernel, &segment(4001, SYN)), CURRENT);
    assert_eq!(owner(&kernel, &segment(4001, ACK)), CURRENT, "it has a pin");
    let pin = kernel.pin(flow(4001)).expect("written");
    assert_eq!((pin.backend, pin.episode, pin.flags), (CURRENT, EPISODE, abi::pin_flags::CONFIRMED));
    assert_eq!(kernel.pin(flow(4000)), None);

    // Another change: the pinned flow stays, the next SYN goes to the newest owner, and takes its pin with it.
    kernel.away(TABLE, slot(4001), Away { current: BETWEEN, ..away() });
    assert_eq!(owner(&kernel, &segment(4001, ACK)), CURRENT);
    assert_eq!(owner(&kernel, &segment(4001, SYN)), BETWEEN, "the port is used again");
    assert_eq!(owner(&kernel, &segment(4001, ACK)), BETWEEN);
    assert_eq!(kernel.reason(Reason::Pinned), 1, "written in place");

    // Another episode: old pins mean nothing.
    kernel.away(TABLE, slot(4001), Away { episode: EPISODE + 1, ..away() });
    assert_eq!(owner(&kernel, &segment(4001, ACK)), FALLBACK);
}

#[test]
fn who_came_back_needs_no_pin() {
    let mut kernel = moved(l2(0), &[4000], Away { current: FALLBACK, alternates: [CURRENT, 0, 0], ..away() });
    assert_eq!(owner(&kernel, &segment(4000, SYN)), FALLBACK);
    assert_eq!((kernel.pin(flow(4000)), kernel.reason(Reason::Pinned)), (None, 0));
}

#[test]
fn a_record_that_is_missing_is_no_riddle() {
    let mut kernel = world(l2(0), FALLBACK);
    kernel.table(TABLE, |_| CURRENT | AWAY);
    assert_eq!(owner(&kernel, &segment(4000, ACK)), CURRENT);
}

/// Over the budget, or when the map is full: to the fallback, which gets the next packets too; unless it is down.
#[test]
fn without_a_pin() {
    let none = Settings { pin_writes_per_s: 0, ..settings() };
    let mut kernel = moved(l2(0), &[4000], away());
    kernel.settings(none);
    assert_eq!(owner(&kernel, &segment(4000, SYN)), FALLBACK);
    assert_eq!(owner(&kernel, &segment(4000, ACK)), FALLBACK);
    kernel.backend(FALLBACK, Backend { flags: backend_flags::DOWN, ..origin(1) });
    assert_eq!(owner(&kernel, &segment(4000, SYN)), CURRENT);
    assert_eq!((kernel.reason(Reason::Unpinned), kernel.reason(Reason::Pinned)), (2, 0));

    let ports: Vec<u16> = (5000..5012).collect();
    let mut kernel = moved(l2(0), &ports, away());
    let owners: Vec<u32> = ports.iter().map(|port| owner(&kernel, &segment(*port, SYN))).collect();
    let pinned = kernel.reason(Reason::Pinned);
    assert_eq!((pinned, kernel.reason(Reason::Unpinned)), (8, 4), "the map holds eight");
    for (port, first) in ports.iter().zip(owners) {
        assert_eq!(owner(&kernel, &segment(*port, ACK)), first, "no SYN took an older pin away: port {port}");
    }
}

/// The budget is one of writes in a second.
#[test]
fn the_budget_ends() {
    let ports: Vec<u16> = (5000..5006).collect();
    let mut kernel = moved(l2(0), &ports, away());
    kernel.settings(Settings { pin_writes_per_s: 3, ..settings() });
    for port in &ports {
        owner(&kernel, &segment(*port, SYN));
    }
    // A second may have ended meanwhile.
    let pinned = kernel.reason(Reason::Pinned);
    assert!((3..6).contains(&pinned), "{pinned}");
    assert_eq!(kernel.reason(Reason::Unpinned), 6 - pinned);
}

/// Flows of a backend that is down: kept, or given to who can say that they are over.
#[test]
fn on_down() {
    for (flags, expect) in [(0, FALLBACK), (service_flags::RESET, CURRENT)] {
        let mut kernel = moved(l2(flags), &[4000], away());
        kernel.backend(FALLBACK, Backend { flags: backend_flags::DOWN, ..origin(1) });
        assert_eq!(owner(&kernel, &segment(4000, ACK)), expect);
    }
}

#[test]
fn udp_goes_by_its_hash() {
    let ends = (ip(CLIENT4), ip(VIP4));
    let datagram = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, 17, &V4::default(), &udp(ends, (4000, PORT), b"?")));
    let kernel = moved(l2(0), &[4000], away());
    assert_eq!(owner(&kernel, &datagram), CURRENT);

    // A session stays with who has it.
    let mut kernel = world(Service { session_s: 60, ..l2(0) }, FALLBACK);
    assert_eq!(owner(&kernel, &datagram), FALLBACK);
    kernel.table(TABLE, |_| CURRENT);
    assert_eq!(owner(&kernel, &datagram), FALLBACK);
    assert_eq!(kernel.reason(Reason::Pinned), 1);
    kernel.settings(Settings { pin_writes_per_s: 0, ..settings() });
    let other = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, 17, &V4::default(), &udp(ends, (4001, PORT), b"?")));
    assert_eq!((owner(&kernel, &other), kernel.reason(Reason::Unpinned)), (CURRENT, 1));
}

/// With our decapsulation at the origins: no pins, but the envelope names who else may have the flow.
#[test]
fn the_envelope_names_the_others() {
    let service = Service { via: VIA_GUE, ..l2(service_flags::CHAIN) };
    let mut kernel = moved(service, &[4000], Away { alternates: [BETWEEN, 0, 0], ..away() });
    let (_, syn) = kernel.run(&segment(4000, SYN));
    assert_eq!(syn[14 + 28], 0x45, "a SYN has no other owner: IP at once");
    let (verdict, out) = kernel.run(&segment(4000, ACK));
    assert_eq!(verdict, Verdict::Transmit);
    assert_eq!(out[14 + 16..14 + 20], [10, 0, 1, 2], "to the current owner");
    let private = [&[3, 4, 0x80, 0, 0x51, 2, 0, 0][..], &[10, 0, 1, 1], &[10, 0, 1, 3]].concat();
    assert_eq!(out[14 + 28..14 + 44], private);
    assert_eq!(out[14 + 44..], segment(4000, ACK)[14..]);
    assert_eq!(u16::from_be_bytes([out[16], out[17]]), 20 + 8 + 16 + 40);
    assert_eq!((kernel.pin(flow(4000)), kernel.reason(Reason::Pinned)), (None, 0));
}

/// The same over IPv6, with an exact checksum over all of it.
#[test]
fn the_others_over_ipv6() {
    let mut kernel = world(Service { via: VIA_GUE, ..l2(service_flags::CHAIN) }, 11);
    kernel.table(TABLE, |_| AWAY | 0xc);
    let ends = (ip(CLIENT6), ip(VIP6));
    let ports = u32::from(4000_u16.to_be()) | u32::from(PORT.to_be()) << 16;
    let at = slot_of(flow_hash(settings().hash_seed, &address(CLIENT6), ports), SLOTS);
    kernel.away(TABLE, at, Away { current: 12, fallback: 11, alternates: [13, 0, 0], episode: 1, ..Away::default() });
    let inside = ipv6(ends, 6, &V6::default(), &tcp(ends, (4000, PORT), ACK, b"odd"));
    let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &inside));
    assert_eq!(verdict, Verdict::Transmit);
    let mut datagram = out[54..].to_vec();
    let sum = [datagram[6], datagram[7]];
    datagram[6..8].fill(0);
    let expect = ebpf::packet::transport_checksum(ip("fd00::2"), ip("fd00:1::c"), 17, &datagram);
    assert_eq!(sum, expect.to_be_bytes());
    assert_eq!(datagram[8..16], [9, 41, 0x80, 0, 0x51, 2, 0, 0]);
    assert_eq!(datagram[16..48], [address("fd00:1::b").bytes(), address("fd00:1::d").bytes()].concat());
    assert_eq!(datagram[48..], inside);
    assert_eq!(kernel.service_counters(SERVICE).packets, 1);
}
