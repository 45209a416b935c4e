//! The configuration of a node, as text.

use std::fmt::Write as _;

use crate::network::Network;
use crate::vip::VIPS;

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
}

impl Configuration {
    /// With every origin of so many, and no checks.
    pub fn of(origins: usize) -> Self {
        Self { members: vec![Member::In; origins], health: "[]".to_owned(), settle: "1h".to_owned() }
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
        let mut text = format!(
            "user: nobody\nl4: {{ interfaces: [eth0], instance: {}, hash_seed: 7, table_size: 4093, settle: {}, pools: {{ pool{node}: {{ addresses: [10.0.2.{}, \"fd02::{}\"], udp_idle: 2s }} }} }}\nvips:\n",
            network.instance(node),
            self.settle,
            1 + node,
            1 + node
        );
        for vip in VIPS {
            let line = format!(
                "  {vip}: {{ addresses: [\"{}\"], ports: [tcp/80, tcp/7, udp/53], {}, to: {vip} }}",
                vip.address(),
                vip.mode_text(node)
            );
            writeln!(text, "{line}").expect("a String takes everything");
        }
        text.push_str("clusters:\n");
        for vip in VIPS {
            let origins = (0..self.members.len()).filter_map(|origin| {
                let address = Network::origin_address(origin, vip.family);
                match self.members[origin] {
                    Member::In => Some(format!("\"{address}\"")),
                    Member::Drained => Some(format!("{{ address: \"{address}\", state: drained }}")),
                    Member::Out => None,
                }
            });
            let endpoints = origins.collect::<Vec<_>>().join(", ");
            writeln!(text, "  {vip}: {{ endpoints: [{endpoints}], health: {} }}", self.health).expect("a String takes everything");
        }
        text
    }
}
