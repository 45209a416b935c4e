//! A node without listeners: it forwards, does so after its death, is adopted, and leaves nothing when it is unloaded. What the doctor says of its
//! interfaces.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use e2e::{eventually, pause, sluice_command};
use lab::{Network, Node, fetch};

const VIP: &str = "http://203.0.113.11/";

#[test]
fn a_node_without_listeners_lives_and_goes() {
    let network = Network::new(1);
    let text = format!(
        "user: nobody\nl4: {{ interfaces: [eth0], instance: {}, table_size: 4093 }}\n\
         vips: {{ shop: {{ addresses: [203.0.113.11], ports: [tcp/80], dsr: ipip, to: edge }} }}\n\
         clusters: {{ edge: {{ endpoints: [10.0.0.21] }} }}\n",
        network.instance(0)
    );
    let serves = || network.client.inside(|| fetch(VIP, &[])).is_ok_and(|body| body.starts_with(b"o0"));
    let mut node = Node::run(&network, 0, &text, 1);
    eventually("it forwards", serves);
    assert!(hook(&network).contains("xdp"), "{}", hook(&network));

    node.kill();
    assert!(serves(), "who is killed forwards on");
    assert!(pins(&network).join("maps/SERVICES").exists() && pins(&network).join("links/eth0@native").exists());

    node = Node::run(&network, 0, &text, 1);
    assert!(node.log().contains("was taken over"), "{}", node.log());
    assert!(serves());

    node.kill();
    let said = node.l4(&network, "unload");
    assert!(said.contains("is gone"), "{said}");
    assert!(!pins(&network).exists(), "nothing is pinned");
    eventually("the interface is free", || !hook(&network).contains("xdp"));
    assert!(!serves(), "nobody forwards");
    assert!(node.l4(&network, "unload").contains("there was no kernel layer"), "once is enough");
}

/// What was found out last stays in force while nobody asks, its age is told, and the next process begins with it.
#[test]
fn states_outlive_who_found_them_out() {
    let network = Network::new(2);
    let text = format!(
        "user: nobody\nl4: {{ interfaces: [eth0], instance: {}, table_size: 4093 }}\n\
         vips: {{ shop: {{ addresses: [203.0.113.11], ports: [tcp/80], dsr: ipip, to: edge }} }}\n\
         clusters: {{ edge: {{ endpoints: [10.0.0.21, 10.0.0.22], \
         health: [{{ http: /healthz, port: 81, interval: 500ms, timeout: 300ms, rise: 2, fall: 2 }}] }} }}\n",
        network.instance(0)
    );
    let only_the_other = || {
        let answers = network.client.inside(|| (0..20).map(|_| fetch(VIP, &[])).collect::<Result<Vec<_>, _>>());
        answers.is_ok_and(|answers| answers.iter().all(|body| body.starts_with(b"o1")))
    };
    let says = |node: &Node, what: &str| node.log().contains(&format!("10.0.0.21 of edge is {what}"));
    let mut node = Node::run(&network, 0, &text, 1);
    network.set_well(0, false);
    eventually("origin 0 is down", || says(&node, "down"));
    eventually("the other gets all", only_the_other);

    node.kill();
    network.set_well(0, true);
    pause(Duration::from_secs(2));
    assert!(only_the_other(), "nobody asks any more: what was known last holds");
    let shown = node.show(&network);
    let age = shown.lines().find_map(|line| line.strip_prefix("states as of ")?.strip_suffix(" s ago")?.parse::<u32>().ok());
    assert!(age.is_some_and(|age| age > 0) && shown.contains(" down "), "{shown}");

    network.set_well(0, false);
    node = Node::run(&network, 0, &text, 1);
    network.asked_for(0);
    eventually("it asks again", || !network.asked_for(0).is_empty());
    assert!(only_the_other() && !says(&node, "up") && !says(&node, "down"), "it goes on from what it found: {}", node.log());
    let metrics = || node.sluice().admin().ask("GET", "/metrics", "").text();
    eventually("the states are new", || {
        metrics().lines().any(|line| matches!(line, "sluice_l4_states_age_seconds 0" | "sluice_l4_states_age_seconds 1"))
    });
    network.set_well(0, true);
    eventually("origin 0 is up", || says(&node, "up"));
}

/// Of a namespace's own interfaces, whatever the machine has.
#[test]
fn the_doctor_knows_the_interfaces() {
    let network = Network::new(1);
    let node = &network.nodes[0];
    node.ip("link add odd mtu 9000 type veth peer name even");
    node.ip("link set odd up");
    node.ip("link set even up");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t sysfs none /sys && exec \"$@\"", "sh"]);
    command.arg(sluice_command().get_program()).arg("doctor");
    let output = node.inside(|| command.output()).expect("unshare can be run");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    let line = |what: &str| {
        let found = told.lines().find(|line| line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(what)));
        found.unwrap_or_else(|| panic!("no {what} in\n{told}"))
    };
    for (what, verdict) in [("eth0: LRO", "ok"), ("odd: LRO", "ok"), ("eth0: queues", ""), ("odd: queues", ""), ("MTU", "warn")] {
        assert!(line(what).starts_with(verdict), "{told}");
    }
    assert!(line("MTU").contains("to 9000"), "{told}");
}

/// What `ip` says of the node's interface.
fn hook(network: &Network) -> String {
    let mut command = Command::new("ip");
    command.args(["link", "show", "dev", "eth0"]);
    let output = network.nodes[0].inside(|| command.output()).expect("iproute2");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pins(network: &Network) -> PathBuf {
    PathBuf::from(format!("/sys/fs/bpf/sluice/{}", network.instance(0)))
}
