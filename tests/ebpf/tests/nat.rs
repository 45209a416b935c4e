//! Translation: both ways, both kinds, every family and protocol; checksums as if the packet had been made so.

use abi::{Backend, FlowKey, MODE_NAT_GATEWAY, MODE_NAT_POOL, Origin, OriginKey, PoolAddress, Reason, Service, Settings};
use ebpf::kernel::{Kernel, Verdict};
use ebpf::namespace::{self, ROUTER_MAC};
use ebpf::packet::{ACK, CLIENT_MAC, MF, OWN_MAC, SYN, V4, V6, frame, ipv4, ipv6, tcp, udp};
use ebpf::world::{CLIENT4, CLIENT6, PORT, SERVICE, VIP4, VIP6, address, ip, origin, origin_mac, settings, world};
use std::net::IpAddr;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ORIGIN4: &str = "10.0.1.1";
const ORIGIN6: &str = "fd00:1::b";
const ORIGIN_PORT: u16 = 8443;

/// A packet of either family and protocol between two ends; `hops` is what is left of its life.
fn packet(ends: (&str, &str), ports: (u16, u16), protocol: u8, flags: u8, hops: u8) -> Vec<u8> {
    let ends: (IpAddr, IpAddr) = (ip(ends.0), ip(ends.1));
    let inside = if protocol == TCP { tcp(ends, ports, flags, b"hello") } else { udp(ends, ports, b"hello") };
    match ends.0 {
        IpAddr::V4(_) => ipv4(ends, protocol, &V4 { ttl: hops, ..V4::default() }, &inside),
        IpAddr::V6(_) => ipv6(ends, protocol, &V6 { hops, ..V6::default() }, &inside),
    }
}

/// Family by family: client, VIP, origin, its backend's number, the pool's address.
const FAMILIES: [(&str, &str, &str, u8, &str); 2] = [(CLIENT4, VIP4, ORIGIN4, 1, "10.0.9.1"), (CLIENT6, VIP6, ORIGIN6, 11, "fd00:9::1")];

fn gateway(owner: u8) -> Kernel {
    let mut kernel = world(Service { mode: MODE_NAT_GATEWAY, ..Service::default() }, u32::from(owner));
    for (_, vip, origin_address, number, _) in FAMILIES {
        kernel.backend(u32::from(number), Backend { port: ORIGIN_PORT.to_be(), ..origin(number) });
        for protocol in [TCP, UDP] {
            let key = OriginKey { address: address(origin_address), port: ORIGIN_PORT.to_be(), protocol, padding: 0 };
            kernel.origin(key, Origin { vip: address(vip), port: PORT.to_be(), padding: 0, service: SERVICE });
        }
    }
    kernel
}

#[test]
fn to_the_origin_and_back() {
    namespace::enter();
    for (client, vip, origin_address, number, _) in FAMILIES {
        let kernel = gateway(number);
        for (protocol, flags) in [(TCP, SYN), (TCP, ACK), (UDP, 0)] {
            let there = frame(OWN_MAC, CLIENT_MAC, &[(0x8100, 5)], &packet((client, vip), (4000, PORT), protocol, flags, 61));
            let moved = packet((client, origin_address), (4000, ORIGIN_PORT), protocol, flags, 60);
            let expect = frame(origin_mac(number), OWN_MAC, &[(0x8100, 5)], &moved);
            assert_eq!(kernel.run(&there), (Verdict::Transmit, expect), "{client} there, protocol {protocol}");

            let back = frame(OWN_MAC, origin_mac(number), &[], &packet((origin_address, client), (ORIGIN_PORT, 4000), protocol, flags, 61));
            let moved = packet((vip, client), (PORT, 4000), protocol, flags, 60);
            let expect = frame(CLIENT_MAC, ROUTER_MAC, &[], &moved);
            assert_eq!(kernel.run(&back), (Verdict::Redirect, expect), "{client} back, protocol {protocol}");
        }
    }
}

/// A client whose MAC is not known yet: translated, and up to the stack.
#[test]
fn the_stack_asks_for_neighbours() {
    namespace::enter();
    let mut kernel = gateway(1);
    let back = frame(OWN_MAC, origin_mac(1), &[], &packet((ORIGIN4, "198.51.100.8"), (ORIGIN_PORT, 4000), TCP, ACK, 61));
    let expect = frame(OWN_MAC, origin_mac(1), &[], &packet((VIP4, "198.51.100.8"), (PORT, 4000), TCP, ACK, 60));
    assert_eq!(kernel.run(&back), (Verdict::Pass, expect));
    assert_eq!((kernel.reason(Reason::Unresolved), kernel.reason(Reason::TranslatedBack)), (1, 1));
}

#[test]
fn fragments_follow_their_first() {
    let ends = (ip(CLIENT4), ip(VIP4));
    let moved = (ip(CLIENT4), ip(ORIGIN4));
    let kernel = gateway(1);
    let whole = udp(ends, (4000, PORT), &[9; 64]);
    let whole_moved = udp(moved, (4000, ORIGIN_PORT), &[9; 64]);
    for (field, range) in [(MF, 0..32), (4, 32..72)] {
        let piece = |ends, all: &[u8], ttl| ipv4(ends, UDP, &V4 { fragment: field, ttl, ..V4::default() }, &all[range.clone()]);
        let expect = frame(origin_mac(1), OWN_MAC, &[], &piece(moved, &whole_moved, 60));
        assert_eq!(kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &piece(ends, &whole, 61))), (Verdict::Transmit, expect));
    }
}

#[test]
fn no_checksum_stays_none_and_old_age_is_the_stack_s() {
    let ends = (ip(CLIENT4), ip(VIP4));
    let kernel = gateway(1);
    let mut none = udp(ends, (4000, PORT), b"x");
    none[6..8].fill(0);
    let (verdict, out) = kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, UDP, &V4::default(), &none)));
    assert_eq!((verdict, &out[14 + 26..14 + 28]), (Verdict::Transmit, &[0, 0][..]));
    for (client, vip, ..) in FAMILIES {
        let old = frame(OWN_MAC, CLIENT_MAC, &[], &packet((client, vip), (4000, PORT), TCP, ACK, 1));
        assert_eq!(gateway(if client == CLIENT4 { 1 } else { 11 }).run(&old), (Verdict::Pass, old.clone()));
    }
}

fn pooled(owner: u8, ports: (u16, u16)) -> Kernel {
    let service = Service { mode: MODE_NAT_POOL, pool_first: 5, pool_count: 1, ..Service::default() };
    let mut kernel = world(service, u32::from(owner));
    for (_, _, _, number, pool) in FAMILIES {
        kernel.backend(u32::from(number), Backend { port: ORIGIN_PORT.to_be(), ..origin(number) });
        if number == owner {
            kernel.pool(5, PoolAddress { address: address(pool), port_first: ports.0, port_last: ports.1 });
        }
    }
    kernel
}

#[test]
fn through_the_pool_and_back() {
    namespace::enter();
    for (client, vip, origin_address, number, pool) in FAMILIES {
        let mut kernel = pooled(number, (20_000, 20_000));
        for (protocol, flags) in [(TCP, SYN), (TCP, ACK), (UDP, 0)] {
            let there = frame(OWN_MAC, CLIENT_MAC, &[], &packet((client, vip), (4000, PORT), protocol, flags, 61));
            let expect =
                frame(origin_mac(number), OWN_MAC, &[], &packet((pool, origin_address), (20_000, ORIGIN_PORT), protocol, flags, 60));
            assert_eq!(kernel.run(&there), (Verdict::Transmit, expect), "{client} there, protocol {protocol}");
            let back = frame(OWN_MAC, origin_mac(number), &[], &packet((origin_address, pool), (ORIGIN_PORT, 20_000), protocol, flags, 61));
            let expect = frame(CLIENT_MAC, ROUTER_MAC, &[], &packet((vip, client), (PORT, 4000), protocol, flags, 60));
            assert_eq!(kernel.run(&back), (Verdict::Redirect, expect), "{client} back, protocol {protocol}");
        }
        let flow = FlowKey {
            source: address(client),
            destination: address(vip),
            source_port: 4000_u16.to_be(),
            destination_port: PORT.to_be(),
            protocol: TCP,
            padding: [0; 3],
        };
        let kept = kernel.nat_flow(flow).expect("kept");
        assert_eq!((kept.backend, kept.pool_port, kept.tcp), (u32::from(number), 20_000_u16.to_be(), 0));
    }
}

#[test]
fn the_pool_has_ends() {
    let from = |port: u16, flags: u8| frame(OWN_MAC, CLIENT_MAC, &[], &packet((CLIENT4, VIP4), (port, PORT), TCP, flags, 61));
    // One port: the second flow finds none.
    let mut kernel = pooled(1, (20_000, 20_000));
    assert_eq!(kernel.run(&from(4000, SYN)).0, Verdict::Transmit);
    assert_eq!(kernel.run(&from(4001, SYN)).0, Verdict::Drop);
    assert_eq!(kernel.reason(Reason::PortsExhausted), 1);
    // No flow, no SYN.
    assert_eq!(kernel.run(&from(4002, ACK)).0, Verdict::Drop);
    assert_eq!(kernel.reason(Reason::NoNatFlow), 1);
    // Four flows are what the map holds here.
    let mut kernel = pooled(1, (20_000, 30_000));
    let verdicts: Vec<Verdict> = (4000..4006).map(|port| kernel.run(&from(port, SYN)).0).collect();
    assert_eq!(verdicts[..4], [Verdict::Transmit; 4]);
    assert_eq!(verdicts[4..], [Verdict::Drop; 2]);
    assert_eq!(kernel.reason(Reason::NatBudget), 2);
    // No budget at all.
    let mut kernel = pooled(1, (20_000, 30_000));
    kernel.settings(Settings { nat_writes_per_s: 0, ..settings() });
    assert_eq!((kernel.run(&from(4000, SYN)).0, kernel.reason(Reason::NatBudget)), (Verdict::Drop, 1));
    // No fragments.
    let first =
        ipv4((ip(CLIENT4), ip(VIP4)), UDP, &V4 { fragment: MF, ..V4::default() }, &udp((ip(CLIENT4), ip(VIP4)), (4000, PORT), &[9; 64]));
    assert_eq!((kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &first)).0, kernel.reason(Reason::FragmentInNat)), (Verdict::Drop, 1));
}
