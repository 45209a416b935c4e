//! VIPs that end at our own listeners: every port that they say and no other, both families, the workers' parts, and what is left of it all.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use e2e::{eventually, pause};
use lab::{Network, Node, fetch};

const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are held at the same time.
const HELD: usize = 60;

#[test]
fn vips_end_at_our_listeners() {
    let network = Network::new(1);
    let text = |vips: &str| configuration(&network, vips);
    assert_eq!(cookies(&network), "1", "the kernel's own default");
    let mut node = Node::run(&network, 0, &text(&format!("{SHOP}{EVERY}")), 2);
    ports_and_families(&network);
    assert_eq!(local_routes(&network), ["2001:db8:1::20", "203.0.113.20", "203.0.113.21"]);
    assert_eq!(cookies(&network), "2", "ours");
    parts(&network, &node);

    node.replace(&text(SHOP));
    assert_eq!(local_routes(&network), ["2001:db8:1::20", "203.0.113.20"]);
    assert!(served(&network, "203.0.113.20:80") && !served(&network, "203.0.113.21:80"), "one is there, the other is not");

    node.kill();
    assert_eq!((local_routes(&network).len(), cookies(&network).as_str()), (2, "2"), "who is killed puts nothing back");
    assert_eq!(connect(&network, "203.0.113.20:80").err(), Some(ErrorKind::ConnectionRefused), "nobody listens");
    node = Node::run(&network, 0, &text(SHOP), 2);
    assert!(served(&network, "203.0.113.20:80") && served(&network, "[2001:db8:1::20]:8010"), "the next one takes over");
    node.kill();
    node.l4(&network, "unload");
    assert!(local_routes(&network).is_empty(), "{:?}", local_routes(&network));
    assert_eq!(cookies(&network), "1", "as it was");
}

/// An address of each family: a port, and a range.
const SHOP: &str = "  shop: { addresses: [203.0.113.20, \"2001:db8:1::20\"], ports: [tcp/80, tcp/8000-8010], terminate: web }\n";
/// Another one, whole.
const EVERY: &str = "  every: { addresses: [203.0.113.21], ports: [tcp/all], terminate: web }\n";

fn configuration(network: &Network, vips: &str) -> String {
    format!(
        "user: nobody\nl4: {{ interfaces: [eth0], instance: {}, table_size: 4093, cookies: {{ above: 500 }} }}\n\
         listeners: {{ web: {{ bind: [\"127.0.0.1:8080\", \"[::1]:8080\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: origin }}] }}] }} }} }}\n\
         clusters: {{ origin: {{ endpoints: [\"10.0.0.21:80\"] }} }}\nvips:\n{vips}",
        network.instance(0)
    )
}

/// Whether a request is answered there.
fn served(network: &Network, to: &str) -> bool {
    network.client.inside(|| fetch(&format!("http://{to}/"), &[])).is_ok_and(|body| body.starts_with(b"o0"))
}

fn connect(network: &Network, to: &str) -> Result<TcpStream, ErrorKind> {
    let to: SocketAddr = to.parse().expect("an address");
    network.client.inside(|| TcpStream::connect_timeout(&to, PATIENCE)).map_err(|error| error.kind())
}

fn ports_and_families(network: &Network) {
    for to in ["203.0.113.20", "[2001:db8:1::20]"] {
        for (port, is_ours) in
            [(80, true), (81, false), (7_999, false), (8_000, true), (8_005, true), (8_010, true), (8_011, false), (8_080, false)]
        {
            let to = format!("{to}:{port}");
            if is_ours {
                assert!(served(network, &to), "{to} is not served");
            } else {
                assert_eq!(connect(network, &to).err(), Some(ErrorKind::ConnectionRefused), "{to}");
            }
        }
    }
    for port in [1, 80, 8_080, 65_535] {
        assert!(served(network, &format!("203.0.113.21:{port}")), "port {port} of all");
    }
    // What the listener itself is bound to is nobody's business.
    assert_eq!(connect(network, "10.0.0.11:8080").err(), Some(ErrorKind::ConnectionRefused));
}

/// A worker has the connections of its CPU, until it holds more than its part.
fn parts(network: &Network, node: &Node) {
    let count = |what: &str| {
        let shown = node.show(network);
        let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = lines.find_map(|words| (words.get(1) == Some(&what)).then(|| words[0].parse::<usize>().ok())?);
        found.unwrap_or_else(|| panic!("no {what}: {shown}"))
    };
    let before = count("to_listener");
    let held: Vec<TcpStream> = (0..HELD)
        .map(|_| {
            pause(Duration::from_millis(30));
            connect(network, "203.0.113.20:80").expect("it listens")
        })
        .collect();
    assert!(count("to_listener") - before >= held.len(), "not all of them went through our program: {}", node.show(network));
    assert!(count("by_cpu") > 0, "{}", node.show(network));
    // All of them come in by few CPUs: the workers of these are full before long.
    assert!(count("worker_full") > 0, "{}", node.show(network));
    let steered = |reason: &str| node.sluice().metrics().sum("sluice_l4_steered_total", &[&format!("reason=\"{reason}\"")]);
    eventually("the metrics say the same", || steered("by_cpu") > 0 && steered("worker_full") > 0);
    drop(held);
    eventually("all of them have ended", || node.sluice().metrics().sum("sluice_downstream_connections_active", &[]) == 0);
}

/// The local routes that Sluice has made.
fn local_routes(network: &Network) -> Vec<String> {
    let mut all = Vec::new();
    for family in ["-4", "-6"] {
        let mut command = Command::new("ip");
        command.args([family, "route", "show", "table", "local", "proto", "83"]);
        let output = network.nodes[0].inside(|| command.output()).expect("iproute2");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        all.extend(text.lines().filter_map(|line| Some(line.strip_prefix("local ")?.split(' ').next()?.to_owned())));
    }
    all.sort();
    all
}

/// The kernel's setting.
fn cookies(network: &Network) -> String {
    network.nodes[0].inside(|| std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies")).expect("procfs").trim().to_owned()
}
