//! The configuration of a node, as text.

use std::fmt::Write as _;

use crate::network::Network;
use crate::vip::{FORWARDED, Family, Mode, VIPS};

/// How an origin stands in every cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// It takes connections.
    In,
    /// Nothing new.
    Drained,
    /// It is not there.
    Out,
}

/// What a node is told.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// By origin.
    pub members: Vec<Member>,
    /// The whole list of checks, or none.
    pub health: String,
    /// Of the rest of `l4:`.
    pub settle: String,
    /// What else stands in `l4:`, each with a comma in front.
    pub l4: String,
}

/// Where terminated VIPs end. Bound to what nobody else can reach, since VIPs are taken whatever a listener is bound to.
const LISTENERS: &str = "defaults: { timeouts: { idle: none } }
listeners:
  web: { bind: [\"127.0.0.1:8080\", \"[::1]:8080\"], http: { sites: [{ hosts: [\"*\"], routes: [{ to: web }] }] } }
  echo: { bind: [\"127.0.0.1:8007\", \"[::1]:8007\"], tcp: echo }
";

impl Configuration {
    /// With every origin of so many, and no checks.
    pub fn of(origins: usize) -> Self {
        Self { members: vec![Member::In; origins], health: "[]".to_owned(), settle: "1h".to_owned(), l4: String::new() }
    }

    /// With an origin in another state.
    #[must_use]
    pub fn with(mut self, origin: usize, member: Member) -> Self {
        self.members[origin] = member;
        self
    }

    /// With these checks.
    #[must_use]
    pub fn checked(mut self, health: &str) -> Self {
        health.clone_into(&mut self.health);
        self
    }

    /// The text for a node.
    pub fn text(&self, network: &Network, node: usize) -> String {
        let (instance, host) = (network.instance(node), 1 + node);
        let pools = format!("pool{node}: {{ addresses: [10.0.2.{host}, \"fd02::{host}\"], udp_idle: 2s }}");
        let mut text = format!(
            "user: nobody\nl4: {{ interfaces: [eth0], instance: {instance}, hash_seed: 7, table_size: 4093, settle: {}, pools: {{ {pools} }}{} }}\n{LISTENERS}vips:\n",
            self.settle, self.l4
        );
        for vip in FORWARDED {
            let (address, mode) = (vip.address(), vip.mode_text(node));
            let line = format!("  {vip}: {{ addresses: [\"{address}\"], ports: [tcp/80, tcp/7, udp/53], {mode}, to: {vip} }}");
            writeln!(text, "{line}").expect("a String takes everything");
        }
        for vip in VIPS.into_iter().filter(|vip| vip.mode == Mode::Terminate) {
            for (name, port, listener) in [(vip.to_string(), 80, "web"), (format!("{vip}-echo"), 7, "echo")] {
                let line = format!("  {name}: {{ addresses: [\"{}\"], ports: [tcp/{port}], terminate: {listener} }}", vip.address());
                writeln!(text, "{line}").expect("a String takes everything");
            }
        }
        text.push_str("clusters:\n");
        for vip in FORWARDED {
            text.push_str(&self.cluster(&vip.to_string(), vip.family, None));
        }
        for (name, port) in [("web", 80), ("echo", 7)] {
            text.push_str(&self.cluster(name, Family::V4, Some(port)));
        }
        text
    }

    /// A cluster of all origins.
    fn cluster(&self, name: &str, family: Family, port: Option<u16>) -> String {
        let origins = (0..self.members.len()).filter_map(|origin| {
            let address = Network::origin_address(origin, family);
            let address = port.map_or_else(|| address.to_string(), |port| format!("{address}:{port}"));
            match self.members[origin] {
                Member::In => Some(format!("\"{address}\"")),
                Member::Drained => Some(format!("{{ address: \"{address}\", state: drained }}")),
                Member::Out => None,
            }
        });
        let endpoints = origins.collect::<Vec<_>>().join(", ");
        format!("  {name}: {{ endpoints: [{endpoints}], health: {} }}\n", self.health)
    }
}
