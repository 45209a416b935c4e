//! Next hops that nobody configured: written down where the kernel knows them, so that packets take the straight way; and followed when they change.
#![expect(clippy::print_stdout, reason = "how long it took is what one wants to see")]
#![expect(clippy::disallowed_methods, reason = "how long something takes is what is looked at")]

use std::time::{Duration, Instant};

use e2e::{eventually, pause};
use lab::{Configuration, FORWARDED, Flows, Network, Node, Vip};

const ORIGINS: usize = 3;
const FLOWS: usize = 60;
/// How often metrics are brought up to date, and some.
const COUNTED: Duration = Duration::from_millis(1_500);

#[test]
fn next_hops_are_known_and_followed() {
    let network = Network::new(ORIGINS);
    let node = Node::start(&network, 0, &Configuration::of(ORIGINS));
    let mut flows = Flows::default();
    network.client.inside(|| flows.open(&FORWARDED, FLOWS));
    straight(&network, &node, &mut flows, "nobody configured next hops");
    another_mac(&network, &node, &mut flows);
    another_route(&network, &node, &mut flows);
    no_route(&network, &node, &mut flows);
}

/// Packets are forwarded and the kernel is asked for none of them.
#[track_caller]
fn straight(network: &Network, node: &Node, flows: &mut Flows, what: &str) {
    let mut seen = (0, 0);
    eventually(format!("{what}: no packet asks for its way"), || {
        let (sent, asked) = counted(node);
        let broken = network.client.inside(|| flows.broken());
        assert!(broken.is_empty(), "{what}: {broken:#?}\n{}", node.show(network));
        pause(COUNTED);
        let now = counted(node);
        seen = (now.0 - sent, now.1 - asked);
        seen.0 > 0 && seen.1 == 0
    });
    println!("{what}: {} packets forwarded, the kernel's routes asked for {}", seen.0, seen.1);
}

/// An origin gets another MAC and says so, as when an address moves to another machine.
fn another_mac(network: &Network, node: &Node, flows: &mut Flows) {
    let origin = &network.origins[0];
    for setting in ["ipv4/conf/eth0/arp_notify", "ipv6/conf/eth0/ndisc_notify"] {
        origin.set(setting, "1");
    }
    // Neighbours that were heard of a moment ago are not believed another thing (`net.ipv4.neigh.*.locktime`).
    pause(COUNTED);
    origin.ip("link set dev eth0 address 02:00:00:00:aa:01");
    let begun = Instant::now();
    eventually("every flow goes on", || network.client.inside(|| flows.broken_of_all(Duration::from_millis(500))) == 0);
    println!("an origin's MAC is another: every flow goes on after {} ms", begun.elapsed().as_millis());
    straight(network, node, flows, "an origin's MAC is another");
}

/// A route of its own leads to an origin by the other node, which has nothing else to do here, and goes away again.
fn another_route(network: &Network, node: &Node, flows: &mut Flows) {
    // Of packets without an envelope it would not know whose they are.
    let mut enveloped = Flows::default();
    let vips: Vec<Vip> = FORWARDED.into_iter().filter(|vip| ["ipip-4", "gue-4"].contains(&vip.to_string().as_str())).collect();
    network.client.inside(|| enveloped.open(&vips, FLOWS));
    let other = &network.nodes[1];
    for setting in ["ipv4/conf/all/send_redirects", "ipv4/conf/eth0/send_redirects"] {
        other.set(setting, "0");
    }
    network.nodes[0].ip("route add 10.0.0.21/32 via 10.0.0.12");
    let before = other.forwarded();
    eventually("packets go by the other node", || {
        let broken = network.client.inside(|| enveloped.broken());
        assert!(broken.is_empty(), "by the other node: {broken:#?}");
        other.forwarded() > before
    });
    straight(network, node, &mut enveloped, "by a route of its own");
    network.nodes[0].ip("route del 10.0.0.21/32");
    let broken = network.client.inside(|| enveloped.broken());
    assert!(broken.is_empty(), "the route goes away: {broken:#?}");
    straight(network, node, flows, "the route went away");
}

/// The kernel has no way any more: packets are not sent where it led once.
fn no_route(network: &Network, node: &Node, flows: &mut Flows) {
    let dropped = || node.sluice().metrics().sum("sluice_l4_dropped_total", &["reason=\"no_neighbour\""]);
    let before = dropped();
    network.nodes[0].ip("route add unreachable 10.0.0.21/32");
    eventually("there is no way", || {
        let _broken = network.client.inside(|| flows.broken_of_all(Duration::from_millis(200)));
        dropped() > before
    });
    network.nodes[0].ip("route del unreachable 10.0.0.21/32");
    eventually("every flow goes on", || network.client.inside(|| flows.broken_of_all(Duration::from_millis(500))) == 0);
    straight(network, node, flows, "there is a way again");
}

/// Packets that were sent to backends, and for how many of them the kernel's routes were asked.
fn counted(node: &Node) -> (i64, i64) {
    let metrics = node.sluice().metrics();
    (metrics.sum("sluice_l4_backend_packets_total", &[]), metrics.sum("sluice_l4_noted_total", &["reason=\"by_routes\""]))
}
