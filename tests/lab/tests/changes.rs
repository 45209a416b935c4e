//! Changes of the configuration on one node: 0 established flows broken, whatever their mode.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how many flows there were, and for how long, is what one wants to see"
)]

use std::time::{Duration, Instant};

use e2e::pause;
use lab::{Configuration, Flows, Member, Network, Node, VIPS, is_full};

/// How the rolling restart is done: by how many backends, with how many flows, from one change to the next, how long idle flows are idle at least.
struct Scale {
    backends: usize,
    flows: usize,
    state: Duration,
    idle: Duration,
}

const FULL: Scale = Scale { backends: 20, flows: 1_000, state: Duration::from_secs(3), idle: Duration::from_secs(90) };
const SHORT: Scale = Scale { backends: 5, flows: 200, state: Duration::from_millis(500), idle: Duration::ZERO };

#[test]
fn backends_leave_come_and_are_drained() {
    let scale = if is_full() { FULL } else { SHORT };
    let network = Network::new(scale.backends);
    let all = Configuration::of(scale.backends);
    let node = Node::start(&network, 0, &all);
    one_change(&network, &node, &all);
    rolling_restart(&network, &node, &all, &scale);
}

/// Removing, adding and draining one backend, each while flows are established.
fn one_change(network: &Network, node: &Node, all: &Configuration) {
    let mut flows = Flows::default();
    for (what, configuration) in [
        ("removed", all.clone().with(0, Member::Out)),
        ("added", all.clone()),
        ("drained", all.clone().with(1, Member::Drained)),
        ("no longer drained", all.clone()),
    ] {
        network.client.inside(|| flows.open(&VIPS, 40));
        node.apply(network, &configuration);
        network.client.inside(|| flows.open(&VIPS, 40));
        let broken = network.client.inside(|| flows.broken());
        println!("a backend is {what}: {} of {} flows broken", broken.len(), flows.len());
        assert!(broken.is_empty(), "{what}: {broken:#?}\n{}", node.show(network));
    }
}

/// Each backend in turn is out for a while and comes back. Half of the flows began before and are idle all the time, half begin while some
/// backend is out.
fn rolling_restart(network: &Network, node: &Node, all: &Configuration, scale: &Scale) {
    let (mut idle, mut begun) = (Flows::default(), Flows::default());
    network.client.inside(|| idle.open(&VIPS, scale.flows / 2));
    let began = Instant::now();
    let mut due = Duration::ZERO;
    let mut wait = || {
        due += scale.state;
        pause(due.saturating_sub(began.elapsed()));
    };
    for backend in 0..scale.backends {
        node.apply(network, &all.clone().with(backend, Member::Out));
        network.client.inside(|| begun.open(&VIPS, scale.flows / 2 / scale.backends));
        wait();
        node.apply(network, all);
        wait();
    }
    pause(scale.idle.saturating_sub(began.elapsed()));
    let lasted = began.elapsed();
    let broken = [network.client.inside(|| idle.broken()), network.client.inside(|| begun.broken())].concat();
    println!(
        "{} changes in {} s: {} of {} flows broken ({} idle all the time, {} begun while a backend was out)",
        2 * scale.backends,
        lasted.as_secs(),
        broken.len(),
        idle.len() + begun.len(),
        idle.len(),
        begun.len()
    );
    assert!(broken.is_empty(), "{broken:#?}\n{}", node.show(network));
}
