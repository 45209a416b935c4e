//! Flows that come to another node, and nodes that disagree.
#![expect(clippy::print_stdout, reason = "how many flows there were is what one wants to see")]

use std::time::Duration;

use e2e::{eventually, pause};
use lab::{Configuration, FORWARDED, Flows, Member, Network, Node, VIPS, Vip};

const ORIGINS: usize = 3;
const FLOWS: usize = 200;
/// Of each VIP whose flows are lost with their node.
const OF_NODE: usize = 20;

#[test]
fn flows_move_and_nodes_disagree() {
    let network = Network::new(ORIGINS);
    let all = Configuration::of(ORIGINS).checked("[{ tcp: {}, interval: 300ms, timeout: 200ms, rise: 2, fall: 2 }]");
    let nodes = [Node::start(&network, 0, &all), Node::start(&network, 1, &all)];
    // Flows through a pool, and those that end at a node, belong to the node that began them.
    let (of_node, vips): (Vec<Vip>, Vec<Vip>) = VIPS.into_iter().partition(|vip| vip.is_of_node());
    all_to_the_other(&network, &nodes, &vips, &all);
    flap_on_one(&network, &nodes);
    lost_with_their_node(&network, &of_node);
}

/// What is not promised is counted: flows whose state is one node's come to the other.
fn lost_with_their_node(network: &Network, vips: &[Vip]) {
    network.route_to(&[0]);
    for vip in vips {
        let mut flows = Flows::default();
        network.client.inside(|| flows.open(&[*vip], OF_NODE));
        network.route_to(&[1]);
        let broken = network.client.inside(|| flows.broken_of_all(Duration::from_secs(2)));
        println!("{vip}: all at the other node: {broken} of {} flows broken, as it has to be", flows.len());
        // The other one takes new ones.
        network.client.inside(|| Flows::default().open(&[*vip], OF_NODE));
        network.route_to(&[0]);
    }
}

/// All flows come to the other node; then while it is one change ahead, and back to the one that is not.
fn all_to_the_other(network: &Network, nodes: &[Node; 2], vips: &[Vip], all: &Configuration) {
    let mut flows = Flows::default();
    network.client.inside(|| flows.open(vips, FLOWS));
    let mut look = |what: &str| {
        let broken = network.client.inside(|| flows.broken());
        println!("{what}: {} of {} flows broken", broken.len(), flows.len());
        assert!(broken.is_empty(), "{what}: {broken:#?}\n{}\n{}", nodes[0].show(network), nodes[1].show(network));
    };
    let to = |node: usize| {
        network.route_to(&[node]);
        network.origins_answer_by(node);
    };
    to(1);
    look("all flows at the other node");
    to(0);
    look("and back");
    for (what, change) in [("removed", all.clone().with(0, Member::Out)), ("drained", all.clone().with(1, Member::Drained))] {
        nodes[1].apply(network, &change);
        to(1);
        look(&format!("at the other node, where a backend is {what}"));
        to(0);
        look("and back");
        nodes[1].apply(network, all);
        to(1);
        look("at the other node, where it is back");
        to(0);
    }
}

/// One of two nodes believes for five seconds that a backend is down. It loses nothing, so what is its own goes on as well.
fn flap_on_one(network: &Network, nodes: &[Node; 2]) {
    network.route_to(&[0, 1]);
    let mut flows = Flows::default();
    network.client.inside(|| flows.open(&VIPS, FLOWS));
    let is_down = || nodes[1].log().lines().filter(|line| line.contains("is down")).count();
    // What the backend answers to that node's own address is lost; clients' packets are not.
    network.origins[0].ip("route add blackhole 10.0.0.12/32");
    network.origins[0].ip("-6 route add blackhole fd00::12/128");
    eventually("one node says that it is down", || is_down() > 0);
    network.client.inside(|| flows.open(&FORWARDED, FLOWS));
    pause(Duration::from_secs(5));
    network.origins[0].ip("route del blackhole 10.0.0.12/32");
    network.origins[0].ip("-6 route del blackhole fd00::12/128");
    eventually("it is up again", || nodes[1].log().lines().filter(|line| line.contains("is up")).count() >= is_down());
    let broken = network.client.inside(|| flows.broken());
    println!("a backend down for one of two nodes for five seconds: {} of {} flows broken", broken.len(), flows.len());
    assert_eq!(nodes[0].log().lines().filter(|line| line.contains("is down")).count(), 0, "{}", nodes[0].log());
    assert!(broken.is_empty(), "{broken:#?}\n{}", nodes[1].show(network));
}
