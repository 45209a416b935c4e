//! The network: who is where, and by which way.

use std::collections::BTreeSet;
use std::fs;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use e2e::sluice_command;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;

use crate::flood::{Flood, SOURCES_V4, SOURCES_V6, Wire};
use crate::namespace::Namespace;
use crate::services::Services;
use crate::vip::{Family, VIPS, Vip};

/// How many nodes there are.
pub const NODES: usize = 2;

/// What clients' packets may be, and what envelopes need beside.
const CLIENT_MTU: u32 = 1500;
const FABRIC_MTU: u32 = 1600;

/// Everything but the nodes' processes.
pub struct Network {
    /// Where clients are.
    pub client: Namespace,
    router: Namespace,
    /// Where the nodes' processes run.
    pub nodes: Vec<Namespace>,
    /// Where the origins' run.
    pub origins: Vec<Namespace>,
    services: Services,
    name: String,
}

impl Network {
    /// With so many origins serving, and every VIP routed to the first node.
    pub fn new(origins: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lab-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (client, router) = (Namespace::new(), Namespace::new());
        let several = |count: usize| (0..count).map(|_| Namespace::new()).collect::<Vec<_>>();
        let nodes = several(NODES);
        let hosts = several(origins);
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/fib_multipath_hash_policy", "ipv6/fib_multipath_hash_policy"] {
            router.set(setting, "1");
        }
        router.wire("wan", &client, "eth0", CLIENT_MTU);
        router.ip("addr add 198.51.100.1/24 dev wan");
        router.ip("addr add 2001:db8:c::1/64 dev wan nodad");
        router.ip(&format!("link add lan mtu {FABRIC_MTU} type bridge forward_delay 0 mcast_snooping 0"));
        router.ip("link set lan up");
        router.ip("addr add 10.0.0.1/24 dev lan");
        router.ip("addr add fd00::1/64 dev lan nodad");
        client.ip("addr add 198.51.100.7/24 dev eth0");
        client.ip("addr add 2001:db8:c::7/64 dev eth0 nodad");
        client.ip("route add default via 198.51.100.1");
        client.ip("-6 route add default via 2001:db8:c::1");
        let services = Services::default();
        let mut network = Self { client, router, nodes, origins: hosts, services, name };
        (0..NODES).for_each(|node| network.place_node(node));
        (0..origins).for_each(|origin| network.place_origin(origin));
        network.route_to(&[0]);
        network.origins_answer_by(0);
        network.services = Services::start(&network.origins, Self::origin_address);
        network
    }

    fn place(&self, namespace: &Namespace, port: &str, host: usize) {
        self.router.wire(port, namespace, "eth0", FABRIC_MTU);
        self.router.ip(&format!("link set {port} master lan"));
        namespace.ip(&format!("addr add 10.0.0.{host}/24 dev eth0"));
        namespace.ip(&format!("addr add fd00::{host}/64 dev eth0 nodad"));
        namespace.ip("route add default via 10.0.0.1");
        namespace.ip("-6 route add default via fd00::1");
        // A wire whose other end sends by XDP takes frames only where XDP runs too: any program that lets them pass.
        decap(&self.router, &format!("{}-{port}", self.name), port, "192.0.2.1");
    }

    fn place_node(&self, node: usize) {
        let namespace = &self.nodes[node];
        let port = format!("node{node}");
        self.place(namespace, &port, 11 + node);
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            namespace.set(setting, "1");
        }
    }

    fn place_origin(&self, origin: usize) {
        let namespace = &self.origins[origin];
        self.place(namespace, &format!("origin{origin}"), 21 + origin);
        namespace.set("ipv4/conf/all/arp_ignore", "1");
        namespace.set("ipv4/conf/all/arp_announce", "2");
        for vip in VIPS.iter().filter(|vip| vip.is_dsr()) {
            let (length, more) = if vip.family == Family::V4 { (32, "") } else { (128, " nodad") };
            namespace.ip(&format!("addr add {}/{length} dev lo{more}", vip.address()));
        }
        // What translation has to see on its way back goes by a node.
        namespace.ip(&format!("rule add from 10.0.0.{} lookup 100", 21 + origin));
        namespace.ip(&format!("-6 rule add from fd00::{} lookup 100", 21 + origin));
        self.decap_on(origin);
    }

    /// An origin opens envelopes.
    pub fn decap_on(&self, origin: usize) {
        decap(&self.origins[origin], &format!("{}-{origin}", self.name), "eth0", &format!("10.0.0.{}", 21 + origin));
    }

    /// An origin opens envelopes no more.
    pub fn decap_off(&self, origin: usize) {
        unload(&format!("{}-{origin}", self.name));
    }

    /// What an origin answers from here on who asks at port 81 whether it is well: yes, or 503.
    pub fn set_well(&self, origin: usize, is_well: bool) {
        self.services.wells[origin].lock().unwrap_or_else(PoisonError::into_inner).is_ill = !is_well;
    }

    /// For whom that was asked since this was asked last: `Host` of each.
    pub fn asked_for(&self, origin: usize) -> BTreeSet<String> {
        mem::take(&mut self.services.wells[origin].lock().unwrap_or_else(PoisonError::into_inner).hosts)
    }

    /// Routes all VIPs to these nodes, by hash where they are several.
    pub fn route_to(&self, nodes: &[usize]) {
        let hops = |prefix: &str| nodes.iter().fold(String::new(), |hops, node| format!("{hops} nexthop via {prefix}{}", 11 + node));
        self.router.ip(&format!("route replace 203.0.113.0/24{}", hops("10.0.0.")));
        self.router.ip(&format!("-6 route replace 2001:db8:1::/64{}", hops("fd00::")));
    }

    /// What comes from the origins' own addresses goes by this node; what goes to a node's pool, by that node.
    pub fn origins_answer_by(&self, node: usize) {
        for namespace in &self.origins {
            namespace.ip(&format!("route replace default via 10.0.0.{} table 100", 11 + node));
            namespace.ip("route replace 10.0.0.0/24 dev eth0 table 100");
            namespace.ip(&format!("-6 route replace default via fd00::{} table 100", 11 + node));
            namespace.ip("-6 route replace fd00::/64 dev eth0 table 100");
            for node in 0..NODES {
                namespace.ip(&format!("route replace 10.0.2.{}/32 via 10.0.0.{} table 100", 1 + node, 11 + node));
                namespace.ip(&format!("-6 route replace fd02::{}/128 via fd00::{} table 100", 1 + node, 11 + node));
            }
        }
    }

    /// Begins to flood a VIP's port through a node, from the router, on a CPU, with so many SYNs a second.
    pub fn flood(&self, node: usize, to: (Vip, u16), cpu: usize, per_second: u64) -> Flood {
        let link = |namespace: &Namespace, interface: &str| {
            let all = namespace.inside(|| getifaddrs().expect("the kernel tells").collect::<Vec<_>>());
            let mut links =
                all.iter().filter(|one| one.interface_name == interface).filter_map(|one| one.address.as_ref()?.as_link_addr().copied());
            links.next().expect("there is such an interface")
        };
        let mac = |link: LinkAddr| link.addr().expect("Ethernet");
        let out = link(&self.router, &format!("node{node}"));
        let wire = Wire { link: out, to: mac(link(&self.nodes[node], "eth0")), from: mac(link(&self.router, "lan")) };
        // Nobody is there to answer to. Origins know it at once: what else they would do about a SYN costs CPUs of their own elsewhere, and here
        // the very one that the flood needs.
        for namespace in self.origins.iter().chain([&self.router]) {
            namespace.ip(&format!("route replace blackhole {SOURCES_V4}"));
            namespace.ip(&format!("-6 route replace blackhole {SOURCES_V6}"));
        }
        self.router.inside(|| Flood::start(wire, to, cpu, per_second))
    }

    /// An origin's own address.
    pub fn origin_address(origin: usize, family: Family) -> IpAddr {
        let host = u8::try_from(21 + origin).expect("a few");
        match family {
            Family::V4 => Ipv4Addr::new(10, 0, 0, host).into(),
            // As it is written: fd00::21.
            Family::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host / 10 * 16 + host % 10)).into(),
        }
    }

    /// A name for the kernel layer of a node that nobody else has.
    pub fn instance(&self, node: usize) -> String {
        format!("{}-node{node}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for origin in 0..self.origins.len() {
            unload(&format!("{}-{origin}", self.name));
            unload(&format!("{}-origin{origin}", self.name));
        }
        for node in 0..NODES {
            unload(&format!("{}-node{node}", self.name));
            // What a node left pinned: nobody is there to miss it.
            let _gone = fs::remove_dir_all(format!("/sys/fs/bpf/sluice/{}", self.instance(node)));
        }
    }
}

fn decap(namespace: &Namespace, name: &str, interface: &str, address: &str) {
    let mut command = sluice_command();
    command.args(["decap", "--name", name, "--interface", interface, "--address", address]);
    if address != "192.0.2.1" {
        command.args(["--address", &address.replace("10.0.0.", "fd00::")]);
    }
    let output = namespace.inside(|| command.output()).expect("sluice can be run");
    assert!(output.status.success(), "sluice decap: {}", String::from_utf8_lossy(&output.stderr));
}

fn unload(name: &str) {
    let output = sluice_command().args(["decap", "--unload", "--name", name]).output().expect("sluice can be run");
    assert!(output.status.success(), "sluice decap --unload: {}", String::from_utf8_lossy(&output.stderr));
}
