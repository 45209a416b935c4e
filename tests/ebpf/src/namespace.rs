//! A network namespace for one test's thread: with a way to the client and nobody else in it.

use nix::sched::{CloneFlags, unshare};
use std::process::Command;

/// Who sends what leaves by the namespace's only interface.
pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Move this thread into a namespace of its own: it forwards, has routes to the clients by one interface, and knows the MAC of the clients
/// ending in 7 ([`crate::packet::CLIENT_MAC`]).
///
/// # Panics
/// Without root or iproute2.
pub fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root: run the tests as root");
    let commands = [
        "link set lo up",
        "link add out type veth peer name wire",
        "link set out address 02:00:00:00:00:09 up",
        "link set wire up",
        "addr add 10.0.0.2/24 dev out",
        "addr add fd00::2/64 dev out nodad",
        "route add 198.51.100.0/24 dev out",
        "route add 2001:db8:c::/64 dev out",
        "neigh add 198.51.100.7 lladdr 02:00:00:00:00:01 dev out",
        "neigh add 2001:db8:c::7 lladdr 02:00:00:00:00:01 dev out",
    ];
    for command in commands {
        let status = Command::new("ip").args(command.split(' ')).status().expect("iproute2 is installed");
        assert!(status.success(), "ip {command}");
    }
    for switch in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{switch}"), "1").unwrap_or_else(|error| panic!("{switch}: {error}"));
    }
}
