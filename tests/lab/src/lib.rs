//! The kernel layer in a network of its own: clients, a router, two nodes of Sluice and three origins, each in a network namespace.
//!
//! ```text
//!   client ──── router ──┬── node 1      203.0.113.x and 2001:db8:1::x are routed to the nodes,
//!                        ├── node 2      to one of them or to both by hash (ECMP)
//!                        ├── origin 1
//!                        ├── origin 2
//!                        └── origin 3
//! ```
//! Everything real: the program itself, its kernel programs on the interfaces, curl, sockets. It needs root, and leaves nothing behind: namespaces
//! end with the process, and what is pinned in the BPF filesystem is removed when the lab is dropped.
#![forbid(unsafe_code)]

mod configuration;
mod flood;
mod flow;
mod namespace;
mod network;
mod node;
mod peers;
mod services;
mod vip;

pub use configuration::{Configuration, Member};
pub use flood::{Flood, Sent, spare_cpu};
pub use flow::{Flow, Flows, download, fetch, slow_download, udp};
pub use namespace::Namespace;
pub use network::{NODES, Network};
pub use node::Node;
pub use peers::{Peers, Way};
pub use vip::{FORWARDED, Family, Mode, VIPS, Vip};

use std::env;

/// Whether everything is to be done at its full length: `cargo xtask lab --full`.
pub fn is_full() -> bool {
    env::var_os("SLUICE_LAB_FULL").is_some()
}
