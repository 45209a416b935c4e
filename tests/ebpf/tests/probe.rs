//! Probes: on their way as a client's packet, and their answers, which our own stack must not see.

use abi::{
    Backend, FlowKey, MODE_DSR, PROBE_ACCEPTED, PROBE_ANSWER_BYTES, PROBE_NO_WAY, PROBE_REFUSED, PROBE_STREAM_BYTES, PROBE_WAITING, Reason,
    Service, VIA_GUE, VIA_IPIP, VIA_L2, limits,
};
use ebpf::kernel::{Kernel, Verdict};
use ebpf::namespace;
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp};
use ebpf::world::{NODE4, NODE6, PORT, SERVICE, VIP4, VIP6, address, ip, origin, world};
use std::net::IpAddr;

const TCP: u8 = 6;
const RST: u8 = 4;
const TOKEN: u32 = 0xfedc_ba98;
/// The first of the ports that probes come from.
const FROM: u16 = 256;
/// The first of those that whole connections come from.
const STREAM: u16 = 384;

fn packet(ends: (&str, &str), ports: (u16, u16), flags: u8) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(ends.0), ip(ends.1));
    let inside = tcp(ends, ports, flags, b"");
    if ends.0.is_ipv4() { ipv4(ends, TCP, &V4::default(), &inside) } else { ipv6(ends, TCP, &V6::default(), &inside) }
}

/// A balancer whose VIP has one backend, reached by a MAC that is known.
fn balancer(via: u32, number: u8) -> Kernel {
    let mut kernel = world(Service { mode: MODE_DSR, via, ..Service::default() }, u32::from(number));
    kernel.backend(u32::from(number), Backend { source_mac: OWN_MAC, ..origin(number) });
    kernel
}

/// Both MACs of a frame for the program: the service's number and the backend's.
fn macs(backend: u32) -> ([u8; 6], [u8; 6]) {
    let mac = |number: u32| {
        let [a, b, c, d] = number.to_le_bytes();
        [a, b, c, d, 0, 0]
    };
    (mac(SERVICE), mac(backend))
}

#[test]
fn a_probe_is_what_a_client_s_packet_would_be() {
    namespace::enter();
    for (via, node, vip, number) in [VIA_L2, VIA_IPIP, VIA_GUE]
        .into_iter()
        .flat_map(|via| [(via, NODE4, VIP4, 1_u8), (via, NODE6, VIP6, 1), (via, NODE6, VIP6, 11), (via, NODE4, VIP4, 11)])
    {
        let what = format!("via {via}, {vip} to {number}");
        let mut kernel = balancer(via, number);
        let inside = packet((node, vip), (FROM, PORT), SYN);
        let (verdict, of_client) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &inside));
        assert_eq!(verdict, Verdict::Transmit, "{what}");
        let (to, from) = macs(u32::from(number));
        let (answer, of_probe) = kernel.run_probe(&frame(to, from, &[], &inside));
        assert_eq!(answer & PROBE_NO_WAY, 0, "{what}");
        assert_eq!(of_probe, of_client, "{what}");
        assert_eq!(kernel.backend_counters(u32::from(number)).packets, 1, "{what}: the client's alone is counted");
    }
}

#[test]
fn no_way_is_said_why() {
    namespace::enter();
    let mut kernel = balancer(VIA_IPIP, 1);
    let inside = packet((NODE4, VIP4), (FROM, PORT), SYN);
    // No MAC is known, and no route.
    kernel.backend(2, Backend { mac: [0; 6], ..origin(2) });
    for (what, backend, reason) in [("no neighbour", 2, Reason::NoNeighbour), ("no such backend", 1 << 20, Reason::Broken)] {
        let (to, from) = macs(backend);
        assert_eq!(kernel.run_probe(&frame(to, from, &[], &inside)).0, PROBE_NO_WAY | reason as u32, "{what}");
    }
}

#[test]
fn answers_are_taken_and_nothing_else() {
    namespace::enter();
    let mut kernel = balancer(VIA_L2, 1);
    for (node, vip, other) in [(NODE4, VIP4, "10.0.0.77"), (NODE6, VIP6, "fd00::77")] {
        let acknowledgement = 14 + if node == NODE4 { 20 } else { 40 } + 8;
        for (what, to, port, flags, token, verdict, answer) in [
            ("it accepts", node, FROM, SYN | ACK, TOKEN, Verdict::Drop, PROBE_ACCEPTED),
            ("it refuses", node, FROM + 127, RST | ACK, TOKEN, Verdict::Drop, PROBE_REFUSED),
            ("an answer to nobody", node, FROM, SYN | ACK, TOKEN ^ 1, Verdict::Pass, PROBE_WAITING),
            ("another port", node, FROM + 256, SYN | ACK, TOKEN, Verdict::Pass, PROBE_WAITING),
            ("another port", node, FROM - 1, SYN | ACK, TOKEN, Verdict::Pass, PROBE_WAITING),
            ("another machine", other, FROM, SYN | ACK, TOKEN, Verdict::Pass, PROBE_WAITING),
        ] {
            kernel.wait_for(TOKEN);
            let mut frame = frame(OWN_MAC, CLIENT_MAC, &[], &packet((vip, to), (PORT, port), flags));
            frame[acknowledgement..acknowledgement + 4].copy_from_slice(&token.wrapping_add(1).to_be_bytes());
            assert_eq!(kernel.run(&frame).0, verdict, "{what}, {vip}");
            assert_eq!(kernel.answer(TOKEN), Some(answer), "{what}, {vip}");
        }
    }
}

/// Packets of a probe's connection are given up whole; of others, nothing.
#[test]
fn connections_are_given_up() {
    namespace::enter();
    let mut kernel = balancer(VIA_L2, 1);
    for (node, vip, header) in [(NODE4, VIP4, 40), (NODE6, VIP6, 60)] {
        let flow = |port: u16| FlowKey {
            source: address(vip),
            destination: address(node),
            source_port: PORT.to_be(),
            destination_port: port.to_be(),
            protocol: TCP,
            padding: [0; 3],
        };
        let longest = PROBE_ANSWER_BYTES - header;
        // What was acknowledged is always 2.
        for (what, first, port, data, verdict) in [
            ("it accepts", 1, STREAM, 0, Verdict::Drop),
            ("what it says", 0, STREAM + 127, 700, Verdict::Drop),
            ("the longest", 0, STREAM, longest, Verdict::Drop),
            ("the last that could be acknowledged", 2_u32.wrapping_sub(PROBE_STREAM_BYTES), STREAM, 10, Verdict::Drop),
            ("from somebody who saw nothing of ours", 2, STREAM, 10, Verdict::Pass),
            ("the same", 1_u32.wrapping_sub(PROBE_STREAM_BYTES), STREAM, 10, Verdict::Pass),
            ("a port of others", 1, STREAM + 128, 10, Verdict::Pass),
        ] {
            kernel.stream(flow(port), Some(first));
            let packet = stream_packet((vip, node), (PORT, port), data);
            let mut padded = frame(OWN_MAC, CLIENT_MAC, &[], &packet);
            padded.extend([0xee; 7]);
            assert_eq!(kernel.run(&padded).0, verdict, "{what}, {vip}");
            assert_eq!(kernel.given_up(), (verdict == Verdict::Drop).then_some(packet.clone()), "{what}, {vip}");
            kernel.stream(flow(port), None);
            assert_eq!(kernel.run(&padded).0, Verdict::Pass, "{what}, {vip}, when nobody waits");
            assert_eq!(kernel.given_up(), None, "{what}, {vip}");
        }
        // Longer than anybody may send; and more than is read.
        kernel.stream(flow(STREAM), Some(1));
        let room = limits::PROBE_ANSWERS_BYTES as usize / PROBE_ANSWER_BYTES;
        for data in core::iter::once(longest + 1).chain((0..=room).map(|_| 0)) {
            let packet = stream_packet((vip, node), (PORT, STREAM), data);
            assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet)).0, Verdict::Drop);
        }
        let given_up = core::iter::from_fn(|| kernel.given_up()).count();
        assert!(given_up > room * 9 / 10 && given_up < room, "{given_up} of {room}");
    }
    assert_eq!(kernel.reason(Reason::AnswerLong), 2, "one of each family");
    assert!(kernel.reason(Reason::AnswersFull) > 2, "those that found no room");
}

fn stream_packet(ends: (&str, &str), ports: (u16, u16), data: usize) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(ends.0), ip(ends.1));
    let inside = tcp(ends, ports, ACK, &vec![0x5a; data]);
    if ends.0.is_ipv4() { ipv4(ends, TCP, &V4::default(), &inside) } else { ipv6(ends, TCP, &V6::default(), &inside) }
}

/// An echo reply of either family, which nothing but its token tells from any other.
#[test]
fn echoes_are_taken() {
    namespace::enter();
    let mut kernel = balancer(VIA_L2, 1);
    for (node, vip, protocol, kind) in [(NODE4, VIP4, 1, 0_u8), (NODE6, VIP6, 58, 129)] {
        for (token, verdict, answer) in [(TOKEN, Verdict::Drop, PROBE_ACCEPTED), (TOKEN ^ 1, Verdict::Pass, PROBE_WAITING)] {
            kernel.wait_for(TOKEN);
            let mut echo = vec![kind, 0, 0, 0];
            echo.extend_from_slice(&token.to_be_bytes());
            let ends: (IpAddr, IpAddr) = (ip(vip), ip(node));
            let packet =
                if ends.0.is_ipv4() { ipv4(ends, protocol, &V4::default(), &echo) } else { ipv6(ends, protocol, &V6::default(), &echo) };
            assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet)).0, verdict, "{vip}");
            assert_eq!(kernel.answer(TOKEN), Some(answer), "{vip}");
        }
    }
}
