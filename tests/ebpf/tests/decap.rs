//! The origin's side: envelopes opened, passed on when another may have the flow, refused when broken.

use abi::{DecapSettings, Reason};
use ebpf::kernel::{Kernel, Verdict};
use ebpf::namespace;
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp, transport_checksum, udp};
use ebpf::world::{CLIENT4, CLIENT6, NODE4, NODE6, PORT, VIP4, VIP6, address, ip};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

const OWN4: &str = "10.0.1.2";
const OWN6: &str = "fd00:1::c";

fn origin() -> Kernel {
    Kernel::load_origin(DecapSettings { layout: abi::LAYOUT, own_v4: address(OWN4), own_v6: address(OWN6) })
}

fn inside4(flags: u8) -> Vec<u8> {
    segment((ip(CLIENT4), ip(VIP4)), (4000, PORT), flags)
}

fn inside6(flags: u8) -> Vec<u8> {
    segment((ip(CLIENT6), ip(VIP6)), (4000, PORT), flags)
}

fn segment(ends: (IpAddr, IpAddr), ports: (u16, u16), flags: u8) -> Vec<u8> {
    let inside = tcp(ends, ports, flags, b"hello");
    if ends.0.is_ipv4() { ipv4(ends, 6, &V4::default(), &inside) } else { ipv6(ends, 6, &V6::default(), &inside) }
}

fn protocol(inside: &[u8]) -> u8 {
    if inside[0] >> 4 == 4 { 4 } else { 41 }
}

/// An outer packet between two nodes.
fn outer(ends: (&str, &str), protocol: u8, payload: &[u8], hops: u8) -> Vec<u8> {
    let ends = (ip(ends.0), ip(ends.1));
    if ends.0.is_ipv4() {
        ipv4(ends, protocol, &V4 { identification: 0, ttl: hops, ..V4::default() }, payload)
    } else {
        ipv6(ends, protocol, &V6 { hops, ..V6::default() }, payload)
    }
}

/// GUE over UDP; under IPv6 with its checksum.
fn gue(ends: (&str, &str), header: &[u8], inside: &[u8], hops: u8) -> Vec<u8> {
    let payload = [header, inside].concat();
    let mut datagram = udp((ip(ends.0), ip(ends.1)), (50_000, 6080), &payload);
    if ip(ends.0).is_ipv4() {
        datagram[6..8].fill(0);
    }
    outer(ends, 17, &datagram, hops)
}

/// Variant 0 with candidates; `addresses` as their bytes.
fn candidates(inside: &[u8], count: u8, addresses: &[u8]) -> Vec<u8> {
    let words = u8::try_from(1 + addresses.len() / 4).expect("short");
    [&[words, protocol(inside), 0x80, 0, 0x51, count, 0, 0][..], addresses].concat()
}

const TO_US: [(&str, &str); 2] = [(NODE4, OWN4), (NODE6, OWN6)];

#[test]
fn envelopes_are_opened() {
    let mut kernel = origin();
    let mut opened = 0;
    for ends in TO_US {
        for inside in [inside4(SYN), inside6(SYN), inside4(ACK), inside6(ACK)] {
            for (what, packet) in [
                ("IP in IP", outer(ends, protocol(&inside), &inside, 64)),
                ("GUE, IP at once", gue(ends, &[], &inside, 64)),
                ("GUE with a header", gue(ends, &[0, protocol(&inside), 0, 0], &inside, 64)),
            ] {
                for tags in [&[][..], &[(0x8100, 5)], &[(0x88a8, 7), (0x8100, 5)]] {
                    let expect = frame(OWN_MAC, CLIENT_MAC, tags, &inside);
                    assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, tags, &packet)), (Verdict::Pass, expect), "{what} {ends:?}");
                    opened += 1;
                }
            }
        }
    }
    assert_eq!(kernel.reason(Reason::Decapsulated), opened);
}

#[test]
fn what_is_not_for_us_stays_closed() {
    let kernel = origin();
    let inside = inside4(SYN);
    let another_port = udp((ip(NODE4), ip(OWN4)), (50_000, 6081), &inside);
    let table = [
        ("another's", outer((NODE4, "10.0.1.3"), 4, &inside, 64)),
        ("another port", outer((NODE4, OWN4), 17, &another_port, 64)),
        ("no envelope", inside.clone()),
        ("a fragment", ipv4((ip(NODE4), ip(OWN4)), 4, &V4 { fragment: 0x2000, ..V4::default() }, &inside)),
    ];
    for (what, packet) in table {
        let whole = frame(OWN_MAC, CLIENT_MAC, &[], &packet);
        assert_eq!(kernel.run(&whole), (Verdict::Pass, whole.clone()), "{what}");
    }
}

#[test]
fn broken_envelopes_are_dropped() {
    let inside = inside4(ACK);
    let list = candidates(&inside, 1, &[10, 0, 1, 1]);
    let edit = |at: usize, value: u8| {
        let mut list = list.clone();
        list[at] = value;
        list
    };
    let table = [
        ("nothing inside", outer((NODE4, OWN4), 4, &[], 64)),
        ("IPv6 said to be IPv4", outer((NODE4, OWN4), 4, &inside6(SYN), 64)),
        ("neither", outer((NODE4, OWN4), 4, &[0x50; 40], 64)),
        ("a GUE of version 2", gue((NODE4, OWN4), &[0x80, 4, 0, 0], &inside, 64)),
        ("a control message", gue((NODE4, OWN4), &[0x20, 4, 0, 0], &inside, 64)),
        ("private data of another kind", gue((NODE4, OWN4), &edit(4, 0x52), &inside, 64)),
        ("more names than room", gue((NODE4, OWN4), &edit(5, 2), &inside, 64)),
        ("header beyond the packet", gue((NODE4, OWN4), &edit(0, 31), &inside, 64)),
        ("names, and worn out", gue((NODE4, OWN4), &list, &inside, 1)),
    ];
    namespace::enter();
    for (what, packet) in table {
        let mut kernel = origin();
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet)).0, Verdict::Drop, "{what}");
        assert_eq!(kernel.reason(Reason::BadEnvelope), 1, "{what}");
    }
}

/// A segment that no socket here knows goes to the next that is named; nobody is named twice; the last keeps it.
#[test]
fn strangers_are_passed_on() {
    namespace::enter();
    let kernel = origin();
    for (ends, inside, addresses, next) in [
        ((NODE4, OWN4), inside4(ACK), [address("10.0.1.1"), address("10.0.1.3")], "10.0.1.1"),
        ((NODE6, OWN6), inside6(ACK), [address("fd00:1::b"), address("fd00:1::d")], "fd00:1::b"),
    ] {
        let is_v4 = ip(ends.0).is_ipv4();
        let bytes = |addresses: &[abi::Address]| -> Vec<u8> {
            addresses.iter().flat_map(|address| if is_v4 { address.bytes()[12..].to_vec() } else { address.bytes().to_vec() }).collect()
        };
        let own = address(ends.1);
        let none = abi::Address::v6([0; 16]);
        let table = [
            ("the first", vec![addresses[0], addresses[1]], Some((vec![none, addresses[1]], next.to_owned()))),
            ("we are the first", vec![own, addresses[0]], Some((vec![none, none], next.to_owned()))),
            ("one is used up", vec![none, addresses[0]], Some((vec![none, none], next.to_owned()))),
            ("only we are left", vec![none, own], None),
            ("nobody is left", vec![none, none], None),
        ];
        for (what, named, expect) in table {
            let packet = gue(ends, &candidates(&inside, 2, &bytes(&named)), &inside, 64);
            let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet));
            let Some((left, next)) = expect else {
                assert_eq!((verdict, &out[14..]), (Verdict::Pass, &inside[..]), "{what}");
                continue;
            };
            // No route leads there in this namespace: back to where it came from.
            let passed = gue((ends.1, &next), &candidates(&inside, 2, &bytes(&left)), &inside, 63);
            assert_eq!((verdict, out), (Verdict::Transmit, frame(CLIENT_MAC, OWN_MAC, &[], &passed)), "{what} {ends:?}");
        }
        // A SYN begins here, whoever else is named.
        let syn = segment(if is_v4 { (ip(CLIENT4), ip(VIP4)) } else { (ip(CLIENT6), ip(VIP6)) }, (4000, PORT), SYN);
        let packet = gue(ends, &candidates(&syn, 2, &bytes(&addresses)), &syn, 64);
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet)), (Verdict::Pass, frame(OWN_MAC, CLIENT_MAC, &[], &syn)));
    }
}

/// A segment of a connection that lives here stays; one for a listener alone does not.
#[test]
fn acquaintances_stay() {
    namespace::enter();
    let mut kernel = origin();
    for (ends, loopback, addresses) in
        [((NODE4, OWN4), "127.0.0.1", vec![10, 0, 1, 1]), ((NODE6, OWN6), "::1", address("fd00:1::b").bytes().to_vec())]
    {
        let listener = TcpListener::bind(SocketAddr::new(ip(loopback), 0)).expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let client = TcpStream::connect((ip(loopback), port)).expect("connected");
        let known = segment((ip(loopback), ip(loopback)), (client.local_addr().expect("connected").port(), port), ACK);
        let unknown = segment((ip(loopback), ip(loopback)), (9, port), ACK);
        for (inside, expect) in [(known, Verdict::Pass), (unknown, Verdict::Transmit)] {
            let packet = gue(ends, &candidates(&inside, 1, &addresses), &inside, 64);
            let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet));
            assert_eq!(verdict, expect);
            assert!(out.ends_with(&inside));
        }
    }
    assert_eq!((kernel.reason(Reason::PassedOn), kernel.reason(Reason::Decapsulated)), (2, 2));
}

/// The plain checksum of what is passed on over IPv6 is right, not only what the table computes.
#[test]
fn what_is_passed_on_is_summed_up() {
    namespace::enter();
    let inside = inside6(ACK);
    let packet = gue((NODE6, OWN6), &candidates(&inside, 1, &address("fd00:1::b").bytes()), &inside, 64);
    let (_, out) = origin().run(&frame(OWN_MAC, CLIENT_MAC, &[], &packet));
    let mut datagram = out[54..].to_vec();
    let sum = [datagram[6], datagram[7]];
    datagram[6..8].fill(0);
    assert_eq!(sum, transport_checksum(ip(OWN6), ip("fd00:1::b"), 17, &datagram).to_be_bytes());
}
