//! Origins that are asked by http, each along the way that its VIP's packets take.
#![expect(clippy::print_stdout, reason = "what was seen is what one wants to see")]
#![expect(clippy::disallowed_methods, reason = "how long something takes is what is looked at")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use e2e::eventually;
use lab::{Configuration, FORWARDED, Mode, Network, Node, Vip, fetch};

const ORIGINS: usize = 3;
/// Where origins say whether they are well.
const PORT: u16 = 81;
const CHECKS: &str = "[{ http: /healthz, port: 81, interval: 500ms, timeout: 300ms, rise: 2, fall: 3 }]";
const PROMISED_MS: u32 = 3 * 500;

#[test]
fn who_says_503_leaves_and_comes_back() {
    let network = Network::new(ORIGINS);
    let configuration = Configuration::of(ORIGINS).checked(CHECKS);
    let node = Node::start(&network, 0, &configuration);
    asked_by_the_way_of_packets(&network, &node);
    ill(&network, &node);
    no_decapsulation(&network, &node);
    // The node's own address now: its stack would keep such packets, and drop those that come from there.
    let own: Vec<Vip> = FORWARDED.into_iter().filter(|vip| vip.mode == Mode::L2).collect();
    for vip in &own {
        network.nodes[0].ip(&format!("addr add {}/{} dev lo", vip.address(), if vip.address().is_ipv4() { 32 } else { 128 }));
    }
    asked_by_the_way_of_packets(&network, &node);
    ill(&network, &node);
    let direct = configuration.text(&network, 0).replace("dsr: l2,", "dsr: l2, probe: direct,");
    node.replace(&direct);
    network.asked_for(0);
    eventually("they are asked at their own addresses", || {
        let asked = network.asked_for(0);
        !asked.is_empty() && own.iter().all(|vip| !asked.contains(&host(*vip)))
    });
    ill(&network, &node);
}

/// For whom an origin is asked, and that all are up.
fn asked_by_the_way_of_packets(network: &Network, node: &Node) {
    network.asked_for(0);
    let wanted: BTreeSet<String> = FORWARDED.into_iter().map(host).collect();
    let mut asked = BTreeSet::new();
    eventually("origins are asked for every VIP", || {
        asked.extend(network.asked_for(0));
        wanted.is_subset(&asked)
    });
    println!("asked for: {asked:?}");
    assert!(FORWARDED.iter().all(|vip| node.says_down(0, *vip).is_none()), "{}", node.log());
}

/// Whom a client would ask: the VIP, or where it is translated to.
fn host(vip: Vip) -> String {
    let address = if vip.is_dsr() { vip.address() } else { Network::origin_address(0, vip.family) };
    SocketAddr::new(address, PORT).to_string()
}

/// An origin that says so gets nothing new, for any VIP, until it says that it is well.
fn ill(network: &Network, node: &Node) {
    network.set_well(0, false);
    let began = Instant::now();
    eventually("origin 0 is down for all", || FORWARDED.iter().all(|vip| node.says_down(0, *vip).is_some()));
    println!("503 at one origin: down for all VIPs after {} ms ({PROMISED_MS} ms promised)", began.elapsed().as_millis());
    // (On a machine that is busy the last of three looks may have come too late for one or the other.)
    let whys: Vec<String> = FORWARDED.iter().filter_map(|vip| node.says_down(0, *vip)).collect();
    assert!(whys.iter().any(|why| why.contains("it answered with status 503")), "{whys:#?}");
    for vip in FORWARDED {
        eventually(format_args!("{vip} goes to the others"), || {
            let answers = network.client.inside(|| (0..20).map(|_| fetch(&vip.url("/"), &[])).collect::<Result<Vec<_>, _>>());
            answers.unwrap_or_else(|error| panic!("{vip}: {error}")).iter().all(|body| !body.starts_with(b"o0"))
        });
    }
    network.set_well(0, true);
    eventually("origin 0 is up for all", || FORWARDED.iter().all(|vip| node.says_down(0, *vip).is_none()));
}

/// An origin that opens envelopes no more is down for the VIPs that send them, and for no others.
fn no_decapsulation(network: &Network, node: &Node) {
    let is_enveloped = |vip: &&Vip| matches!(vip.mode, Mode::Ipip | Mode::Gue);
    network.decap_off(0);
    let began = Instant::now();
    eventually("origin 0 is down where envelopes are sent", || {
        FORWARDED.iter().filter(is_enveloped).all(|vip| node.says_down(0, *vip).is_some())
    });
    println!("no decapsulation at one origin: down after {} ms ({PROMISED_MS} ms promised)", began.elapsed().as_millis());
    assert!(FORWARDED.iter().filter(|vip| !is_enveloped(vip)).all(|vip| node.says_down(0, *vip).is_none()), "{}", node.log());
    network.decap_on(0);
    eventually("origin 0 is up", || FORWARDED.iter().all(|vip| node.says_down(0, *vip).is_none()));
}
