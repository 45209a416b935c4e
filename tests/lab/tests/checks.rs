//! Origins that are asked by calls of gRPC, and by requests through TLS and over HTTP/2, each along the way that its VIP's packets take.
#![expect(clippy::print_stdout, reason = "what was seen is what one wants to see")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

use e2e::{Authority, eventually};
use lab::{FORWARDED, Family, Mode, Network, Node, Peers, Vip, Way, fetch};

const ORIGINS: usize = 2;
/// With more to say of itself than an origin may have under way: it has to wait for what was heard.
const NAMES: usize = 100;
/// One of them.
const SERVER: &str = "origin7.test";

#[test]
fn who_says_so_leaves_and_comes_back() {
    let (network, authority) = (Network::new(ORIGINS), Authority::new());
    let names: Vec<String> = (0..NAMES).map(|name| format!("origin{name}.test")).collect();
    let (pair, (cert, key)) = (authority.sign(&[SERVER]), authority.make(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    pair.replace(&cert, &key);
    let mut peers: Vec<Peers> = (0..ORIGINS).map(|origin| Peers::start(&network, origin, &pair)).collect();
    peers[1].set_well(true);
    let node = Node::run(&network, 0, &configuration(&network, &authority.file().display().to_string()), 2);
    leaves(&network, &node, "from the beginning");
    peers[0].set_well(true);
    comes_back(&network, &node);
    asked_as_clients_ask(&peers[0]);
    peers[0].set_well(false);
    leaves(&network, &node, "later");
    peers[0].set_well(true);
    comes_back(&network, &node);
    no_decapsulation(&network, &node);
}

/// One of each mode, in turn of each family.
fn vips() -> impl Iterator<Item = Vip> {
    let wanted = |vip: &Vip| (vip.family == Family::V4) == matches!(vip.mode, Mode::Ipip | Mode::NatNone);
    FORWARDED.into_iter().filter(wanted)
}

/// Each of them asked in each way.
fn cells() -> impl Iterator<Item = (Vip, Way)> {
    vips().flat_map(|vip| Peers::WAYS.map(|way| (vip, way)))
}

fn name((vip, way): (Vip, Way)) -> String {
    format!("{vip}-{}", way.name)
}

fn configuration(network: &Network, authority: &str) -> String {
    let pool = "pools: { pool0: { addresses: [10.0.2.1, \"fd02::1\"] } }";
    let l4 = format!("interfaces: [eth0], instance: {}, hash_seed: 7, table_size: 4093, {pool}", network.instance(0));
    let (mut vips, mut clusters) = (String::new(), String::new());
    for cell @ (vip, way) in cells() {
        let (name, port) = (name(cell), way.port);
        let ports = format!("ports: [tcp/{port}, tcp/{}]", port + 1_000);
        writeln!(vips, "  {name}: {{ addresses: [\"{}\"], {ports}, {}, to: {name} }}", vip.address(), vip.mode_text(0)).expect("a String");
        let tls = if way.is_sealed { format!("tls: {{ server_name: {SERVER}, ca: \"{authority}\" }}, ") } else { String::new() };
        let check = format!("{{ {}, port: {port}, interval: 1s, timeout: 600ms, rise: 2, fall: 3 }}", way.check);
        let endpoints: Vec<String> = (0..ORIGINS).map(|origin| format!("\"{}\"", Network::origin_address(origin, vip.family))).collect();
        let endpoints = endpoints.join(", ");
        writeln!(clusters, "  {name}: {{ endpoints: [{endpoints}], protocol: {}, {tls}health: [{check}] }}", way.protocol)
            .expect("a String");
    }
    format!("user: nobody\nl4: {{ {l4} }}\nvips:\n{vips}clusters:\n{clusters}")
}

fn is_down(node: &Node, origin: usize, cell: (Vip, Way)) -> Option<String> {
    node.says_down_in(&name(cell), Network::origin_address(origin, cell.0.family))
}

/// Who says that it is ill gets nothing new.
fn leaves(network: &Network, node: &Node, when: &str) {
    let mut reasons = BTreeSet::new();
    for cell in cells() {
        eventually(format_args!("origin 0 of {} is down, as it says {when}", name(cell)), || is_down(node, 0, cell).is_some());
        // (On a machine that is busy the last of three looks may have come too late for one or the other.)
        reasons.extend(is_down(node, 0, cell).filter(|why| why.contains(cell.1.ill)).map(|_as_it_says| cell.1.ill));
        assert_eq!(is_down(node, 1, cell), None, "{}", name(cell));
        eventually(format_args!("{} goes to the other", name(cell)), || who_answers(network, cell) == BTreeSet::from([1]));
    }
    assert_eq!(reasons, cells().map(|(_, way)| way.ill).collect());
}

fn comes_back(network: &Network, node: &Node) {
    for cell in cells() {
        eventually(format_args!("both origins of {} are up", name(cell)), || {
            (0..ORIGINS).all(|origin| is_down(node, origin, cell).is_none())
        });
        eventually(format_args!("{} goes to both", name(cell)), || who_answers(network, cell) == BTreeSet::from([0, 1]));
    }
}

/// Which origins answer a VIP's clients, of some connections.
fn who_answers(network: &Network, (vip, way): (Vip, Way)) -> BTreeSet<usize> {
    let url = format!("http://{}/", vip.at(way.port + 1_000));
    let answers = network.client.inside(|| (0..12).map(|_| fetch(&url, &[])).collect::<Result<Vec<_>, _>>());
    let answers = answers.unwrap_or_else(|error| panic!("{url}: {error}"));
    answers.iter().map(|body| usize::from(body != b"o0")).collect()
}

/// At the VIP's address where packets come so, and by that name, through TLS and over the version of HTTP that was said.
fn asked_as_clients_ask(peers: &Peers) {
    let asked: BTreeSet<String> = peers.asked().lines().map(str::to_owned).collect();
    println!("asked: {asked:#?}");
    for (vip, way) in cells().filter(|(_, way)| way.check.starts_with("http")) {
        let address = if vip.is_dsr() { vip.address() } else { Network::origin_address(0, vip.family) };
        let protocol = if way.protocol == "http1" { "HTTP/1.1" } else { "HTTP/2.0" };
        let tls = if way.is_sealed { "TLSv1.3" } else { "-" };
        let line = format!("{address} {} {} {protocol} {tls}", way.port, SocketAddr::new(address, way.port));
        assert!(asked.contains(&line), "{line} is not among {asked:#?}");
    }
}

/// An origin that opens envelopes no more is down for those whose packets come in them.
fn no_decapsulation(network: &Network, node: &Node) {
    network.decap_off(0);
    for cell in cells() {
        if matches!(cell.0.mode, Mode::Ipip | Mode::Gue) {
            eventually(format_args!("origin 0 of {} is down", name(cell)), || is_down(node, 0, cell).is_some());
        } else {
            assert_eq!(is_down(node, 0, cell), None, "{}", name(cell));
        }
    }
    network.decap_on(0);
    eventually("all are up", || cells().all(|cell| is_down(node, 0, cell).is_none()));
}
