//! Exact ports: found in their cells, and found when another port has their cell.

use abi::{MODE_DSR, PortKey, Service, VIA_L2, protocols};
use ebpf::Place;
use ebpf::kernel::{Kernel, Verdict};
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, V4, frame, ipv4, tcp};
use ebpf::world::{CLIENT4, VIP4, address, ip};

fn key(port: u16) -> PortKey {
    PortKey::new(address(VIP4), protocols::TCP, port)
}

fn place(port: u16) -> u32 {
    key(port).cell().expect("it may have one").place()
}

/// Two ports of one cell.
fn neighbours() -> (u16, u16) {
    let mut known = std::collections::HashMap::new();
    for port in 1000..=u16::MAX {
        if let Some(first) = known.insert(place(port), port) {
            return (first, port);
        }
    }
    unreachable!("there are as many cells as ports, and the hash is no permutation of them")
}

#[test]
fn ports_that_meet_in_a_cell_are_all_found() {
    let place = Place::new("ports");
    let (mut balancer, mut kernel) = (place.balancer(), place.kernel());
    ebpf::world::furnish(&mut kernel, Service { mode: MODE_DSR, via: VIA_L2, ..Service::default() }, 1);
    let verdict = |kernel: &Kernel, port: u16| {
        let ends = (ip(CLIENT4), ip(VIP4));
        kernel.run(&frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, protocols::TCP, &V4::default(), &tcp(ends, (4000, port), ACK, b"")))).0
    };
    let (first, second) = neighbours();
    let both = |kernel: &Kernel| (verdict(kernel, first), verdict(kernel, second));
    assert_eq!(both(&kernel), (Verdict::Pass, Verdict::Pass), "nobody's yet");

    balancer.put_port(key(first), ebpf::world::SERVICE).expect("written");
    assert_eq!(both(&kernel), (Verdict::Transmit, Verdict::Pass));
    balancer.put_port(key(second), ebpf::world::SERVICE).expect("written");
    assert_eq!(both(&kernel), (Verdict::Transmit, Verdict::Transmit));
    balancer.remove_port(key(second)).expect("written");
    assert_eq!(both(&kernel), (Verdict::Transmit, Verdict::Pass), "the cell is still the first's");
    balancer.put_port(key(second), ebpf::world::SERVICE).expect("written");
    balancer.remove_port(key(first)).expect("written");
    assert_eq!(both(&kernel), (Verdict::Pass, Verdict::Transmit));

    // What a port's service is changes in its cell too: a number that nobody uses is nobody's.
    balancer.put_port(key(second), ebpf::world::SERVICE + 1).expect("written");
    assert_eq!(verdict(&kernel, second), Verdict::Pass);
    balancer.put_port(key(second), ebpf::world::SERVICE).expect("written");
    assert_eq!(verdict(&kernel, second), Verdict::Transmit);
    drop(balancer);
}
