//! A node without listeners: it forwards, does so after its death, is adopted, and leaves nothing when it is unloaded. What the doctor says of its
//! interfaces.

use std::path::PathBuf;
use std::process::Command;

use e2e::{eventually, sluice_command};
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
