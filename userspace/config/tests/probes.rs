//! Health checks of clusters that VIPs lead to: what can be asked of packets' origins, and what is refused.

use std::path::Path;

use config::{ProbeBy, compile, load_text};

/// The first reason against a configuration with this cluster and VIP.
fn refused(cluster: &str, vip: &str) -> Option<String> {
    let text = format!("version: 1\nclusters:\n  edge: {{ {cluster} }}\nvips:\n  a: {{ addresses: [203.0.113.1], {vip}, to: edge }}\n");
    let loaded = load_text(Path::new("/etc/sluice.yaml"), &*text).expect("YAML");
    compile(&loaded, None).err().map(|rejections| rejections[0].to_string())
}

#[test]
fn checks_have_a_port_to_ask_at() {
    const NOT_ONE: &str = ": vips.a.to: this VIP has not one port of tcp alone, so checks by http and grpc of its cluster need a port";
    const NO_PORT: &str = "neither this VIP nor the cluster's endpoints have a port for tcp";
    for (what, cluster, vip, expect) in [
        ("nothing", "endpoints: [10.0.0.1]", "ports: [tcp/80], dsr: l2", None),
        ("tcp", "endpoints: [10.0.0.1], health: [{ tcp: {} }]", "ports: [tcp/80], dsr: l2", None),
        ("http", "endpoints: [10.0.0.1], health: [{ http: /healthz }]", "ports: [tcp/80, udp/80], dsr: l2", None),
        (
            "http by the translated way",
            "endpoints: ['10.0.0.1:80'], health: [{ tcp: {} }, { http: / }]",
            "ports: [tcp/81, udp/81], nat: none",
            None,
        ),
        ("two ports", "endpoints: [10.0.0.1], health: [{ http: / }]", "ports: [tcp/80, tcp/443], dsr: l2", Some(NOT_ONE)),
        ("a range", "endpoints: [10.0.0.1], protocol: http2, health: [{ grpc: {} }]", "ports: [tcp/80-81], dsr: gue", Some(NOT_ONE)),
        (
            "two ports, direct",
            "endpoints: [10.0.0.1], health: [{ http: / }]",
            "ports: [tcp/80, tcp/443], dsr: l2, probe: direct",
            Some(NOT_ONE),
        ),
        ("one of them", "endpoints: [10.0.0.1], health: [{ http: /, port: 80 }]", "ports: [tcp/80, tcp/443], dsr: l2", None),
        ("an echo", "endpoints: [10.0.0.1], health: [{ tcp: {} }]", "ports: [udp/53], dsr: gue", None),
        ("no port", "endpoints: [10.0.0.1], health: [{ tcp: {} }]", "ports: [udp/53], dsr: gue, probe: direct", Some(NO_PORT)),
        ("no port", "endpoints: [10.0.0.1], health: [{ tcp: {} }]", "ports: [udp/53], nat: none", Some(NO_PORT)),
        ("the check's port", "endpoints: [10.0.0.1], health: [{ tcp: {}, port: 9000 }]", "ports: [udp/53], nat: none", None),
        ("the endpoint's port", "endpoints: ['10.0.0.1:53'], health: [{ tcp: {} }]", "ports: [udp/53], nat: none", None),
    ] {
        let refused = refused(cluster, vip);
        assert_eq!(refused.is_some(), expect.is_some(), "{what}: {refused:?}");
        assert!(refused.unwrap_or_default().contains(expect.unwrap_or_default()), "{what}");
    }
}

#[test]
fn the_way_of_packets_is_the_default() {
    for (vip, expect) in [("dsr: l2", ProbeBy::Path), ("dsr: l2, probe: path", ProbeBy::Path), ("dsr: l2, probe: direct", ProbeBy::Direct)]
    {
        let text = format!(
            "version: 1\nclusters: {{ edge: {{ endpoints: [10.0.0.1] }} }}\nvips: {{ a: {{ addresses: [203.0.113.1], ports: [tcp/80], {vip}, to: edge }} }}\n"
        );
        let snapshot = compile(&load_text(Path::new("/etc/sluice.yaml"), &*text).expect("YAML"), None).expect("it is right");
        assert_eq!(snapshot.vips["a"].probe, expect, "{vip}");
    }
}
