//! Direct server return: what comes in, the verdict, what goes out, byte by byte.

use abi::{MODE_DSR, Reason, Service, VIA_GUE, VIA_IPIP, VIA_L2};
use ebpf::Verdict;
use ebpf::packet::{self, ACK, CLIENT_MAC, DF, MF, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp, transport_checksum, udp};
use ebpf::world::{self, CLIENT4, CLIENT6, NODE4, NODE6, PORT, RANGED, SERVICE, VIP4, VIP6, ip, origin_mac, world};
use std::net::IpAddr;

const TCP: u8 = 6;
const UDP: u8 = 17;

fn v4() -> (IpAddr, IpAddr) {
    (ip(CLIENT4), ip(VIP4))
}

fn v6() -> (IpAddr, IpAddr) {
    (ip(CLIENT6), ip(VIP6))
}

fn dsr(via: u32) -> Service {
    Service { mode: MODE_DSR, via, ..Service::default() }
}

/// The packets that every envelope must carry as they are.
fn insides() -> Vec<(&'static str, Vec<u8>)> {
    let options = V4 { options: vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..V4::default() };
    let destination_options = [&[TCP, 0, 1, 4, 0, 0, 0, 0][..], &tcp(v6(), (4000, PORT), ACK, b"x")].concat();
    let mut no_checksum = udp(v4(), (4000, PORT), b"none");
    no_checksum[6..8].fill(0);
    vec![
        ("v4 SYN", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, PORT), SYN, b""))),
        ("v4 data of odd length", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, PORT), ACK, b"hello"))),
        ("v4 in a range", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, RANGED), ACK, b"hello"))),
        ("v4 type of service", ipv4(v4(), TCP, &V4 { tos: 0xb9, ..V4::default() }, &tcp(v4(), (4000, PORT), ACK, b"hello"))),
        ("v4 with options", ipv4(v4(), TCP, &options, &tcp(v4(), (4000, PORT), ACK, b"hello"))),
        ("v4 UDP", ipv4(v4(), UDP, &V4::default(), &udp(v4(), (4000, PORT), b"question"))),
        ("v4 UDP without checksum", ipv4(v4(), UDP, &V4::default(), &no_checksum)),
        ("v4 first fragment", ipv4(v4(), UDP, &V4 { fragment: MF, ..V4::default() }, &udp(v4(), (4000, PORT), &[9; 64]))),
        ("v4 later fragment", ipv4(v4(), UDP, &V4 { fragment: 9, ..V4::default() }, &[8; 24])),
        ("v6 SYN", ipv6(v6(), TCP, &V6::default(), &tcp(v6(), (4000, PORT), SYN, b""))),
        ("v6 class and flow", ipv6(v6(), TCP, &V6 { class: 0xb9, flow: 0xabcde, hops: 3 }, &tcp(v6(), (4000, PORT), ACK, b"hello"))),
        ("v6 UDP", ipv6(v6(), UDP, &V6::default(), &udp(v6(), (4000, PORT), b"question"))),
        ("v6 in a range", ipv6(v6(), UDP, &V6::default(), &udp(v6(), (4000, RANGED), b"question"))),
        ("v6 with destination options", ipv6(v6(), 60, &V6::default(), &destination_options)),
        (
            "v6 first fragment",
            ipv6(v6(), 44, &V6::default(), &[&[UDP, 0, 0, 1, 0, 0, 0, 9][..], &udp(v6(), (4000, PORT), &[9; 64])].concat()),
        ),
        ("v6 later fragment", ipv6(v6(), 44, &V6::default(), &[&[UDP, 0, 0, 72, 0, 0, 0, 9][..], &[8; 24]].concat())),
    ]
}

/// Every tag that a frame may have.
const TAGS: [&[(u16, u16)]; 4] = [&[], &[(0x8100, 5)], &[(0x88a8, 7), (0x8100, 5)], &[(0x8100, 7), (0x8100, 5)]];

/// Every inside, under every tag: `expect` makes the outer packet of an inside, given what left, for the fields that may be chosen freely.
fn check(via: u32, owner: u8, expect: impl Fn(&[u8], &[u8]) -> Vec<u8>) {
    let mut kernel = world(dsr(via), u32::from(owner));
    let mut bytes = 0;
    let mut packets = 0;
    for tags in TAGS {
        for (what, inside) in insides() {
            let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, tags, &inside));
            let link = 14 + tags.len() * 4;
            let expected = frame(origin_mac(owner), OWN_MAC, tags, &expect(&inside, out.get(link..).unwrap_or_default()));
            assert_eq!((verdict, &out), (Verdict::Transmit, &expected), "{what}, tags {tags:?}, to origin {owner}");
            packets += 1;
            bytes += inside.len() as u64;
        }
    }
    let service = kernel.service_counters(SERVICE);
    assert_eq!((service.packets, service.bytes), (packets, bytes));
    assert_eq!(kernel.backend_counters(u32::from(owner)), service);
}

fn inside_protocol(inside: &[u8]) -> u8 {
    if inside[0] >> 4 == 4 { 4 } else { 41 }
}

fn class(inside: &[u8]) -> u8 {
    if inside[0] >> 4 == 4 { inside[1] } else { inside[0] << 4 | inside[1] >> 4 }
}

fn outer4(owner: u8, protocol: u8, inside: &[u8], payload: &[u8]) -> Vec<u8> {
    let head = V4 { tos: class(inside), identification: 0, fragment: DF, ttl: 64, options: vec![] };
    ipv4((ip(NODE4), ip(&format!("10.0.1.{owner}"))), protocol, &head, payload)
}

fn outer6(owner: u8, protocol: u8, inside: &[u8], left: &[u8], payload: &[u8]) -> Vec<u8> {
    // The flow label is the program's to choose.
    let flow = left.get(..4).map_or(0, |word| u32::from_be_bytes([0, word[1] & 15, word[2], word[3]]));
    ipv6((ip(NODE6), ip(&format!("fd00:1::{owner:x}"))), protocol, &V6 { class: class(inside), flow, hops: 64 }, payload)
}

#[test]
fn another_mac() {
    check(VIA_L2, 2, |inside, _| inside.to_vec());
}

#[test]
fn ip_in_ipv4() {
    check(VIA_IPIP, 2, |inside, _| outer4(2, inside_protocol(inside), inside, inside));
}

#[test]
fn ip_in_ipv6() {
    check(VIA_IPIP, 12, |inside, left| outer6(12, inside_protocol(inside), inside, left, inside));
}

/// GUE: the source port is the program's to choose, among the ephemeral ones.
fn gue_header(left: &[u8], at: usize, inside: &[u8]) -> Vec<u8> {
    let source = left.get(at..at + 2).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]));
    assert!(source >= 0xc000, "source port {source}");
    [source.to_be_bytes(), 6080_u16.to_be_bytes(), u16::try_from(8 + inside.len()).expect("short").to_be_bytes(), [0, 0]].concat()
}

#[test]
fn gue_over_ipv4() {
    check(VIA_GUE, 2, |inside, left| outer4(2, UDP, inside, &[gue_header(left, 20, inside), inside.to_vec()].concat()));
}

#[test]
fn gue_over_ipv6_has_an_exact_checksum() {
    check(VIA_GUE, 12, |inside, left| {
        let mut datagram = [gue_header(left, 40, inside), inside.to_vec()].concat();
        if has_whole_checksum(inside) {
            let sum = transport_checksum(ip(NODE6), ip("fd00:1::c"), UDP, &datagram);
            datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        outer6(12, UDP, inside, left, &datagram)
    });
}

/// Where the inside has none, or has it over more than this packet, the outside has none either.
fn has_whole_checksum(inside: &[u8]) -> bool {
    if inside[0] >> 4 == 6 {
        return inside[6] == TCP || inside[6] == UDP;
    }
    let fragmented = u16::from_be_bytes([inside[6], inside[7]]) & 0x3fff != 0;
    let without = inside[9] == UDP && inside[26..28] == [0, 0];
    !fragmented && !without
}

/// What is not ours goes up unchanged.
#[test]
fn not_ours() {
    let mut kernel = world(dsr(VIA_IPIP), 1);
    let elsewhere = (ip(CLIENT4), ip("203.0.113.11"));
    let syn = ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, PORT), SYN, b""));
    let edit = |at: usize, value: u8| {
        let mut packet = syn.clone();
        packet[at] = value;
        packet
    };
    let long_chain = [[60, 0, 1, 4, 0, 0, 0, 0].repeat(7), tcp(v6(), (4000, PORT), ACK, b"")].concat();
    let mapped = (ip("::ffff:198.51.100.7"), ip(VIP6));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("another address", ipv4(elsewhere, TCP, &V4::default(), &tcp(elsewhere, (4000, PORT), SYN, b""))),
        ("another port", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, 444), SYN, b""))),
        ("before the range", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, 8079), SYN, b""))),
        ("behind the range", ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, 8091), SYN, b""))),
        ("another protocol", ipv4(v4(), 132, &V4::default(), &tcp(v4(), (4000, PORT), SYN, b""))),
        ("version 5", edit(0, 0x55)),
        ("header of four words", edit(0, 0x44)),
        ("header longer than the packet", edit(0, 0x4f)),
        ("length beyond the frame", edit(3, 200)),
        ("length below the header", edit(3, 19)),
        ("IPv4 header cut off", syn[..19].to_vec()),
        ("IPv6 header cut off", ipv6(v6(), TCP, &V6::default(), b"")[..39].to_vec()),
        ("IPv6 length beyond the frame", ipv6(v6(), TCP, &V6::default(), &[0; 30])[..60].to_vec()),
        ("IPv6 chain too long", ipv6(v6(), 60, &V6::default(), &long_chain)),
        ("IPv6 extension beyond the packet", ipv6(v6(), 60, &V6::default(), &[TCP, 200, 0, 0, 0, 0, 0, 0])),
        ("a mapped address on the wire", ipv6(mapped, TCP, &V6::default(), &tcp(mapped, (4000, PORT), SYN, b""))),
    ];
    for (what, packet) in table {
        let frame = frame(OWN_MAC, CLIENT_MAC, &[], &packet);
        assert_eq!(kernel.run(&frame), (Verdict::Pass, frame.clone()), "{what}");
    }
    for frame in [vec![2; 14], [vec![2; 12], vec![0x08, 0x06], vec![0; 28]].concat(), [vec![2; 12], vec![0x81, 0, 0]].concat()] {
        assert_eq!(kernel.run(&frame), (Verdict::Pass, frame.clone()));
    }
    assert_eq!(kernel.service_counters(SERVICE).packets, 0);
}

/// What is ours and broken is dropped and counted.
#[test]
fn broken() {
    let short = |bytes: usize| ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, PORT), SYN, b"")[..bytes]);
    let mut offset = tcp(v4(), (4000, PORT), SYN, b"");
    offset[12] = 0x40;
    let lost = ipv4(v4(), UDP, &V4 { fragment: 9, ..V4::default() }, &[8; 24]);
    let table: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("no TCP header at all", short(0), Reason::Truncated),
        ("TCP header cut off", short(19), Reason::Truncated),
        ("UDP header cut off", ipv4(v4(), UDP, &V4::default(), &[0; 3]), Reason::Truncated),
        ("TCP header of four words", ipv4(v4(), TCP, &V4::default(), &offset), Reason::BadHeader),
        ("a later fragment before its first", lost, Reason::NoFirstFragment),
    ];
    for (what, packet, reason) in table {
        let mut kernel = world(dsr(VIA_IPIP), 1);
        let (verdict, _) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet));
        assert_eq!((verdict, kernel.reason(reason)), (Verdict::Drop, 1), "{what}");
    }
}

/// No backend, no address of our own.
#[test]
fn nowhere_to_go() {
    let syn = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(v4(), TCP, &V4::default(), &tcp(v4(), (4000, PORT), SYN, b"")));
    let mut kernel = world(dsr(VIA_IPIP), 0);
    assert_eq!(kernel.run(&syn).0, Verdict::Drop);
    assert_eq!(kernel.reason(Reason::NoBackend), 1);

    for (owner, settings) in [
        (1, abi::Settings { source_v4: abi::Address::default(), ..world::settings() }),
        (11, abi::Settings { source_v6: abi::Address::default(), ..world::settings() }),
    ] {
        let mut kernel = world(dsr(VIA_GUE), owner);
        kernel.settings(settings);
        assert_eq!(kernel.run(&syn).0, Verdict::Drop);
        assert_eq!(kernel.reason(Reason::NoSource), 1, "origin {owner}");
    }
}

/// The plain checksum that all the tables rest on: the example of RFC 1071, 3.
#[test]
fn the_checksum_is_the_checksum() {
    assert_eq!(packet::checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
}
