//! ICMP and resets: what is answered, what follows its flow, what is told to whom.

use abi::{
    MODE_DSR, MODE_ECHO, NO_BACKEND, PortKey, Ports, Reason, Service, Settings, VIA_GUE, VIA_IPIP, VIA_L2, protocols, service_flags,
};
use ebpf::kernel::{Kernel, Verdict};
use ebpf::packet::{ACK, CLIENT_MAC, DF, OWN_MAC, SYN, V4, V6, checksum, frame, ipv4, ipv6, tcp, transport_checksum, udp};
use ebpf::world::{CLIENT4, CLIENT6, NODE4, NODE6, PORT, VIP4, VIP6, address, ip, origin_mac, settings, world};
use std::net::IpAddr;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const ECHO: u32 = 20;

/// An ICMP packet of either family.
fn icmp(ends: (&str, &str), (kind, code): (u8, u8), rest: [u8; 4], data: &[u8], hops: u8) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(ends.0), ip(ends.1));
    let mut message = [&[kind, code, 0, 0][..], &rest, data].concat();
    if ends.0.is_ipv4() {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ipv4(ends, ICMP, &V4 { ttl: hops, ..V4::default() }, &message)
    } else {
        let sum = transport_checksum(ends.0, ends.1, ICMPV6, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ipv6(ends, ICMPV6, &V6 { hops, ..V6::default() }, &message)
    }
}

fn segment(ends: (&str, &str), ports: (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(ends.0), ip(ends.1));
    let inside = tcp(ends, ports, flags, data);
    if ends.0.is_ipv4() { ipv4(ends, TCP, &V4::default(), &inside) } else { ipv6(ends, TCP, &V6::default(), &inside) }
}

fn echoing(flags: u32) -> Kernel {
    let mut kernel = world(Service { mode: MODE_DSR, via: VIA_L2, ..Service::default() }, 1);
    kernel.service(ECHO, Service { mode: MODE_ECHO, flags, ..Service::default() });
    for (vip, protocol) in [(VIP4, protocols::ICMP), (VIP6, protocols::ICMPV6)] {
        kernel.address(PortKey::new(address(vip), protocol, 0), Ports { portless: ECHO, ..Ports::default() });
    }
    kernel
}

#[test]
fn echoes() {
    for (client, vip, ask, answer) in [(CLIENT4, VIP4, 8, 0), (CLIENT6, VIP6, 128, 129)] {
        let request = frame(OWN_MAC, CLIENT_MAC, &[(0x8100, 5)], &icmp((client, vip), (ask, 0), [1, 2, 3, 4], b"odd", 61));
        let reply = frame(CLIENT_MAC, OWN_MAC, &[(0x8100, 5)], &icmp((vip, client), (answer, 0), [1, 2, 3, 4], b"odd", 64));
        let mut kernel = echoing(service_flags::LIVES);
        assert_eq!(kernel.run(&request), (Verdict::Transmit, reply));
        assert_eq!(kernel.reason(Reason::Echoed), 1);

        kernel.settings(Settings { echo_per_s: 0, ..settings() });
        assert_eq!((kernel.run(&request).0, kernel.reason(Reason::EchoLimit)), (Verdict::Drop, 1));
        let mut kernel = echoing(0);
        assert_eq!((kernel.run(&request).0, kernel.reason(Reason::EchoDown)), (Verdict::Drop, 1));
        let silent = world(Service { mode: MODE_DSR, via: VIA_L2, ..Service::default() }, 1);
        assert_eq!(silent.run(&request), (Verdict::Pass, request.clone()), "the stack answers where we do not");
    }
}

/// An error quotes what the origin sent, so it goes to that origin, whole.
#[test]
fn errors_go_where_their_flow_goes() {
    let router4 = "192.0.2.1";
    let router6 = "2001:db8:e::1";
    for (router, client, vip, kind) in [(router4, CLIENT4, VIP4, 3), (router6, CLIENT6, VIP6, 2)] {
        let quoted = segment((vip, client), (PORT, 4000), ACK, b"what was too long");
        let error = icmp((router, vip), (kind, 4), [0, 0, 5, 0], &quoted, 61);
        for (via, owner) in [(VIA_L2, 2), (VIA_IPIP, 2), (VIA_GUE, 12)] {
            let kernel = world(Service { mode: MODE_DSR, via, ..Service::default() }, owner);
            let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &error));
            assert_eq!((verdict, &out[..6]), (Verdict::Transmit, &origin_mac(u8::try_from(owner).expect("small"))[..]), "via {via}");
            assert!(out.ends_with(&error), "via {via}");
            if via == VIA_GUE {
                let mut datagram = out[54..].to_vec();
                datagram[6..8].fill(0);
                let sum = transport_checksum(ip(NODE6), ip("fd00:1::c"), 17, &datagram);
                assert_eq!(out[60..62], sum.to_be_bytes());
            }
        }
        let stranger = icmp((router, vip), (kind, 4), [0, 0, 5, 0], &segment((vip, client), (444, 4000), ACK, b""), 61);
        let whole = frame(OWN_MAC, CLIENT_MAC, &[], &stranger);
        let kernel = world(Service { mode: MODE_DSR, via: VIA_L2, ..Service::default() }, 1);
        assert_eq!(kernel.run(&whole), (Verdict::Pass, whole.clone()), "about no flow of ours");
    }
}

#[test]
fn who_sends_too_much_is_told() {
    for (client, vip, node, owner, overhead) in [(CLIENT4, VIP4, NODE4, 2, 20), (CLIENT6, VIP6, NODE6, 12, 40)] {
        let mut kernel = world(Service { mode: MODE_DSR, via: VIA_IPIP, ..Service::default() }, owner);
        let header = if client == CLIENT4 { 40 } else { 60 };
        let fits = segment((client, vip), (4000, PORT), ACK, &vec![1; 1500 - overhead - header]);
        assert_eq!(fits.len(), 1500 - overhead);
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &fits)).0, Verdict::Transmit);

        let large = segment((client, vip), (4000, PORT), ACK, &vec![1; 1501 - overhead - header]);
        let told = u16::try_from(1500 - overhead).expect("small").to_be_bytes();
        let (kind, code) = if client == CLIENT4 { (3, 4) } else { (2, 0) };
        let error = match ip(node) {
            IpAddr::V4(_) => {
                let mut message = [&[kind, code, 0, 0, 0, 0][..], &told, &large[..480]].concat();
                let sum = checksum(&message);
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let head = V4 { tos: 0, identification: 0, fragment: DF, ttl: 64, options: vec![] };
                ipv4((ip(node), ip(client)), ICMP, &head, &message)
            }
            IpAddr::V6(_) => icmp((node, client), (kind, code), [0, 0, told[0], told[1]], &large[..480], 64),
        };
        let expect = frame(CLIENT_MAC, OWN_MAC, &[(0x8100, 5)], &error);
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[(0x8100, 5)], &large)), (Verdict::Transmit, expect), "{client}");
        assert_eq!(kernel.reason(Reason::TooBig), 1);

        kernel.settings(Settings { icmp_errors_per_s: 0, ..settings() });
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &large)).0, Verdict::Drop);
        assert_eq!(kernel.reason(Reason::TooBigSilent), 1);
    }
    // What a router may fragment is the stack's.
    let ends = (ip(CLIENT4), ip(VIP4));
    let large = ipv4(ends, 17, &V4 { fragment: 0, ..V4::default() }, &udp(ends, (4000, PORT), &[1; 1460]));
    let large = frame(OWN_MAC, CLIENT_MAC, &[], &large);
    let mut kernel = world(Service { mode: MODE_DSR, via: VIA_IPIP, ..Service::default() }, 2);
    assert_eq!(kernel.run(&large), (Verdict::Pass, large.clone()));
    assert_eq!(kernel.reason(Reason::Fragmented), 1);
}

/// Nobody lives: dropped, or reset as RFC 9293 has it.
#[test]
fn resets() {
    for (client, vip) in [(CLIENT4, VIP4), (CLIENT6, VIP6)] {
        let service = |flags| Service { mode: MODE_DSR, via: VIA_IPIP, flags, ..Service::default() };
        let mut keeping = world(service(0), NO_BACKEND);
        let mut resetting = world(service(service_flags::RESET), NO_BACKEND);
        // Sequence 1, acknowledgement 2 are what the segments here carry.
        let table: [(u8, &[u8], u8, u32, u32); 4] =
            [(SYN, b"", 0x14, 0, 2), (SYN, b"early", 0x14, 0, 7), (ACK, b"data", 0x04, 2, 0), (1 | ACK, b"", 0x04, 2, 0)];
        for (number, (flags, data, answer, sequence, acknowledgement)) in table.into_iter().enumerate() {
            let packet = frame(OWN_MAC, CLIENT_MAC, &[], &segment((client, vip), (4000, PORT), flags, data));
            assert_eq!(keeping.run(&packet).0, Verdict::Drop);
            assert_eq!(keeping.reason(Reason::NoBackend), number as u64 + 1);

            let ends = (ip(vip), ip(client));
            let mut reset = tcp(ends, (PORT, 4000), answer, b"");
            reset[4..8].copy_from_slice(&sequence.to_be_bytes());
            reset[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
            reset[14..18].fill(0);
            let sum = transport_checksum(ends.0, ends.1, TCP, &reset);
            reset[16..18].copy_from_slice(&sum.to_be_bytes());
            let made = V4 { tos: 0, identification: 0, fragment: DF, ttl: 64, options: vec![] };
            let expect = match ends.0 {
                IpAddr::V4(_) => ipv4(ends, TCP, &made, &reset),
                IpAddr::V6(_) => ipv6(ends, TCP, &V6 { hops: 64, ..V6::default() }, &reset),
            };
            assert_eq!(resetting.run(&packet), (Verdict::Transmit, frame(CLIENT_MAC, OWN_MAC, &[], &expect)), "flags {flags}");
        }
        let reset = frame(OWN_MAC, CLIENT_MAC, &[], &segment((client, vip), (4000, PORT), 4, b""));
        assert_eq!(resetting.run(&reset).0, Verdict::Drop, "a reset is not answered");
        assert_eq!((resetting.reason(Reason::Reset), resetting.reason(Reason::NoBackend)), (4, 1));
    }
}
