//! Guards: lists, rates of sources, samples of what was dropped; QUIC's connection ids; SYN cookies.

use abi::{MODE_DSR, MODE_TERMINATE, QUIC_ID_BYTES, QuicId, QuicKey, Reason, Service, Settings, VIA_L2, service_flags};
use ebpf::Place;
use ebpf::kernel::{Kernel, Verdict};
use ebpf::namespace;
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, SYN, V4, V6, checksum, frame, ipv4, ipv6, tcp, transport_checksum, udp};
use ebpf::world::{CLIENT4, CLIENT6, PORT, SERVICE, VIP4, VIP6, ip, origin_mac, settings, world};
use l4::{GuardList, Prefix};
use std::net::IpAddr;

fn segment(client: &str, port: u16, flags: u8) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(client), ip(if client.contains(':') { VIP6 } else { VIP4 }));
    let inside = tcp(ends, (port, PORT), flags, b"");
    let packet = if ends.0.is_ipv4() { ipv4(ends, 6, &V4::default(), &inside) } else { ipv6(ends, 6, &V6::default(), &inside) };
    frame(OWN_MAC, CLIENT_MAC, &[], &packet)
}

fn l2() -> Service {
    Service { mode: MODE_DSR, via: VIA_L2, ..Service::default() }
}

fn list(lines: &[&str]) -> GuardList {
    let prefix = |line: &&str| {
        let (verb, rest) = line.split_once(' ').expect("a verb");
        let (network, length) = rest.split_once('/').expect("a length");
        Prefix { length: length.parse().expect("a number"), allow: verb == "allow", network: ip(network) }
    };
    GuardList::compile(lines.iter().map(prefix).collect())
}

/// Lists, written by the loader over the maps of the program under test.
#[test]
fn lists() {
    let place = Place::new("guards");
    let (mut balancer, mut kernel) = (place.balancer(), place.kernel());
    ebpf::world::furnish(&mut kernel, l2(), 1);
    let verdict = |kernel: &Kernel, client: &str| kernel.run(&segment(client, 4000, SYN)).0;

    let first = list(&[
        "deny 198.51.100.0/24",
        "allow 198.51.100.7/32",
        "deny 100.64.0.0/10",
        "deny 192.0.2.128/25",
        "deny 2001:db8:bad::/48",
        "allow 2001:db8:bad:1::/64",
        "deny 2001:db8:c::99/128",
        "deny 3000::/12",
        "deny fc00::/7",
    ]);
    balancer.put_guard(&first).expect("written");
    let table = [
        ("198.51.100.8", Verdict::Drop),
        ("198.51.100.7", Verdict::Transmit),
        ("100.127.255.255", Verdict::Drop),
        ("100.128.0.0", Verdict::Transmit),
        ("192.0.2.127", Verdict::Transmit),
        ("192.0.2.128", Verdict::Drop),
        ("2001:db8:bad:2::1", Verdict::Drop),
        ("2001:db8:bad:1::1", Verdict::Transmit),
        ("2001:db8:c::98", Verdict::Transmit),
        ("2001:db8:c::99", Verdict::Drop),
        ("300f::1", Verdict::Drop),
        ("3010::1", Verdict::Transmit),
        ("fd12:3456::1", Verdict::Drop),
    ];
    for (client, expect) in table {
        assert_eq!(verdict(&kernel, client), expect, "{client}");
    }
    assert_eq!((kernel.reason(Reason::Denied), kernel.reason(Reason::Allowed)), (7, 2));

    balancer.put_guard(&list(&["deny 198.51.100.7/32"])).expect("written");
    assert_eq!((verdict(&kernel, "198.51.100.7"), verdict(&kernel, "198.51.100.8")), (Verdict::Drop, Verdict::Transmit));
    balancer.remove_guard().expect("written");
    assert_eq!(verdict(&kernel, "198.51.100.7"), Verdict::Transmit);
    drop(balancer);
}

/// A source over its rates is dropped; another is not. A second may end meanwhile, so there is a margin.
#[test]
fn rates() {
    for (limits, flags, reason) in [
        (Settings { source_connections_per_s: 10, ..settings() }, SYN, Reason::SourceConnections),
        (Settings { source_packets_per_s: 10, ..settings() }, ACK, Reason::SourcePackets),
    ] {
        for (loud, quiet) in [(CLIENT4, "198.51.100.8"), (CLIENT6, "2001:db8:c::8")] {
            let mut kernel = world(l2(), 1);
            kernel.settings(limits);
            for _ in 0..100 {
                kernel.run(&segment(loud, 4000, flags));
            }
            let dropped = kernel.reason(reason);
            assert!((80..=90).contains(&dropped), "{dropped}");
            assert_eq!(kernel.run(&segment(quiet, 4000, flags)).0, Verdict::Transmit);
        }
    }
}

#[test]
fn drops_are_sampled() {
    let mut kernel = world(l2(), 0);
    kernel.settings(Settings { sample_one_in: 1, ..settings() });
    let long = frame(
        OWN_MAC,
        CLIENT_MAC,
        &[],
        &ipv4((ip(CLIENT4), ip(VIP4)), 17, &V4::default(), &udp((ip(CLIENT4), ip(VIP4)), (4000, PORT), &[7; 200])),
    );
    for packet in [segment(CLIENT4, 4000, SYN), long] {
        assert_eq!(kernel.run(&packet).0, Verdict::Drop);
        let sample = kernel.sample().expect("left");
        assert_eq!((sample.reason, sample.length as usize), (Reason::NoBackend as u32, packet.len()));
        let head = packet.len().min(64);
        assert_eq!(sample.bytes[..head], packet[..head]);
        assert!(sample.bytes[head..].iter().all(|byte| *byte == 0));
    }
    assert!(kernel.sample().is_none());
    kernel.settings(settings());
    kernel.run(&segment(CLIENT4, 4000, SYN));
    assert!(kernel.sample().is_none(), "nobody asked for samples");
}

#[test]
fn quic_goes_by_its_connection_id() {
    let mut kernel = world(Service { flags: service_flags::QUIC, ..l2() }, 1);
    kernel.quic_node(QuicKey { service: SERVICE, node: 300, config: 2 }, 3);
    let id = |config: u8, node: u16| QuicId { config, node, generation: 1, worker: 0 }.write(9);
    let known: [u8; QUIC_ID_BYTES] = id(2, 300);
    let long = |first: u8, length: u8, id: &[u8]| [&[first, 0, 0, 0, 1, length][..], id, &[0; 20]].concat();
    let short = |id: &[u8]| [&[0x40][..], id, &[0; 20]].concat();
    let table = [
        ("short header", short(&known), 3),
        ("handshake", long(0xe0, 8, &known), 3),
        ("initial: the client's own id", long(0xc0, 8, &known), 1),
        ("0-RTT", long(0xd0, 8, &known), 1),
        ("an id that is too short", long(0xe0, 4, &known), 1),
        ("another node", short(&id(2, 301)), 1),
        ("another form", short(&id(3, 300)), 1),
        ("not for steering", short(&id(7, 300)), 1),
        ("too short a packet", vec![0x40, 1], 1),
    ];
    for (what, data, owner) in table {
        for (client, vip) in [(CLIENT4, VIP4), (CLIENT6, VIP6)] {
            let ends = (ip(client), ip(vip));
            let datagram = udp(ends, (4000, PORT), &data);
            let packet =
                if ends.0.is_ipv4() { ipv4(ends, 17, &V4::default(), &datagram) } else { ipv6(ends, 17, &V6::default(), &datagram) };
            let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet));
            assert_eq!((verdict, &out[..6]), (Verdict::Transmit, &origin_mac(owner)[..]), "{what}");
        }
    }
    assert_eq!(kernel.reason(Reason::Steered), 4);
}

/// Under flood a SYN gets a cookie of the right form, its acknowledgement goes up, any other does not.
#[test]
fn cookies() {
    namespace::enter();
    for client in [CLIENT4, CLIENT6] {
        let mut kernel = world(Service { mode: MODE_TERMINATE, flags: service_flags::COOKIES, ..Service::default() }, 1);
        kernel.settings(Settings { cookies_on_per_s: 1_000_000, cookies_off_per_s: 1, ..settings() });
        assert_eq!(kernel.run(&segment(client, 4000, SYN)).0, Verdict::Pass, "no flood");
        assert_eq!(kernel.run(&segment(client, 4000, ACK)).0, Verdict::Pass, "no flood");

        kernel.settings(Settings { cookies_on_per_s: 1, cookies_off_per_s: 1, ..settings() });
        let ends = (ip(client), ip(if client == CLIENT4 { VIP4 } else { VIP6 }));
        let mut syn = tcp(ends, (4000, PORT), SYN, &[2, 4, 5, 0xb4]);
        syn[12] = 0x60;
        let wrap = |ends: (IpAddr, IpAddr), inside: &[u8]| {
            let made = |options: &V4, inside: &[u8]| ipv4(ends, 6, options, inside);
            if ends.0.is_ipv4() { made(&V4::default(), inside) } else { ipv6(ends, 6, &V6::default(), inside) }
        };
        let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &wrap(ends, &syn)));
        assert_eq!((verdict, &out[..12]), (Verdict::Transmit, &[CLIENT_MAC, OWN_MAC].concat()[..]));
        let header = if client == CLIENT4 { 20 } else { 40 };
        let answer = &out[14 + header..];
        let mut blank = answer.to_vec();
        blank[16..18].fill(0);
        assert_eq!(answer[16..18], transport_checksum(ends.1, ends.0, 6, &blank).to_be_bytes());
        assert_eq!(
            (&answer[..4], &answer[8..14]),
            (&[PORT.to_be_bytes(), 4000_u16.to_be_bytes()].concat()[..], &[0, 0, 0, 2, 0x60, SYN | ACK][..])
        );
        // What a cookie can say of 1460: the next size below that its family's table has.
        let size = if client == CLIENT4 { 1460_u16 } else { 1440 };
        assert_eq!(answer[20..], [&[2, 4][..], &size.to_be_bytes()].concat());
        if client == CLIENT4 {
            assert_eq!(checksum(&out[14..34]), 0);
        }
        assert_eq!(kernel.reason(Reason::CookieSent), 1);

        let cookie = u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]);
        for (acknowledged, expect) in [(cookie.wrapping_add(1), Verdict::Pass), (cookie.wrapping_add(77), Verdict::Drop)] {
            let mut ack = tcp(ends, (4000, PORT), ACK, b"");
            ack[4..8].copy_from_slice(&2_u32.to_be_bytes());
            ack[8..12].copy_from_slice(&acknowledged.to_be_bytes());
            assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &wrap(ends, &ack))).0, expect);
        }
        assert_eq!((kernel.reason(Reason::CookieAccepted), kernel.reason(Reason::BadCookie)), (1, 1));

        kernel.settings(Settings { cookies_on_per_s: 1, cookies_trickle_per_s: 1000, ..settings() });
        assert_eq!(kernel.run(&segment(client, 4001, SYN)).0, Verdict::Pass);
        assert_eq!(kernel.reason(Reason::CookieTrickle), 1);
    }
}
