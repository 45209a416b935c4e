//! Who is let in: lists from files that are replaced under way, and limits of what one source may do.
#![expect(clippy::print_stdout, reason = "how long a large list took is what one wants to see")]

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use e2e::{eventually, pause};
use lab::{FORWARDED, Network, Node, Vip, fetch};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, socket};
use tempfile::TempDir;

/// Two addresses of the client.
const LOUD: &str = "198.51.100.7";
const QUIET: &str = "198.51.100.8";
/// Blocks of a large list.
const MANY: usize = 1_000_000;

/// A folder that whoever the node runs as can read.
struct Lists {
    folder: TempDir,
}

impl Lists {
    fn new() -> Self {
        let folder = TempDir::with_prefix("sluice-lab-").expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let lists = Self { folder };
        lists.write("deny", "# nobody yet\n");
        lists.write("allow", "");
        lists
    }

    /// In one step, as whoever keeps such lists should.
    fn write(&self, name: &str, text: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).expect("the folder can be written");
        fs::rename(&draft, self.folder.path().join(name)).expect("a file can be replaced");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

#[test]
fn lists_and_limits_of_sources() {
    let network = Network::new(1);
    network.client.ip(&format!("addr add {QUIET}/24 dev eth0"));
    let lists = Lists::new();
    let vip = FORWARDED.into_iter().find(|vip| vip.to_string() == "ipip-4").expect("one of them");
    let configuration = |more: &str| {
        format!(
            "user: nobody\nl4: {{ interfaces: [eth0], instance: {}, table_size: 4093{more}, guards: {{ deny: \"{}\", allow: \"{}\" }} }}\n\
             vips: {{ {vip}: {{ addresses: [{}], ports: [tcp/80, udp/53], dsr: ipip, to: edge }} }}\nclusters: {{ edge: {{ endpoints: [10.0.0.21] }} }}\n",
            network.instance(0),
            lists.path("deny"),
            lists.path("allow"),
            vip.address()
        )
    };
    let mut node = Node::run(&network, 0, &configuration(", limits: { sample_one_in: 1 }"), 1);
    lists_are_watched(&network, &node, &lists, vip);
    broken_lines(&network, &node, &lists, vip, &configuration);
    many(&network, &node, &lists, vip);
    limits(&network, &node, vip, &configuration);
    outlives_us(&network, &mut node, &lists, vip, &configuration(""));
}

fn is_served(network: &Network, vip: Vip, source: &str) -> bool {
    network.client.inside(|| fetch(&vip.url("/"), &["--interface", source, "--connect-timeout", "1"])).is_ok()
}

#[track_caller]
fn only(network: &Network, vip: Vip, what: &str, (loud, quiet): (bool, bool)) {
    eventually(what, || is_served(network, vip, LOUD) == loud && is_served(network, vip, QUIET) == quiet);
}

fn dropped(node: &Node, reason: &str) -> i64 {
    node.sluice().metrics().sum("sluice_l4_dropped_total", &[&format!("reason=\"{reason}\"")])
}

/// A list takes the place of another without anybody being told.
fn lists_are_watched(network: &Network, node: &Node, lists: &Lists, vip: Vip) {
    only(network, vip, "nobody is denied", (true, true));
    lists.write("deny", &format!("10.0.0.0/8\n{LOUD} # one host\n"));
    only(network, vip, "one host is denied", (false, true));
    eventually("it is counted", || dropped(node, "denied") > 0);
    let drops = node.l4(network, "drops");
    let is_told =
        |line: &str| line.contains("denied") && line.contains(&format!("tcp {LOUD} port ")) && line.contains(&vip.address().to_string());
    assert!(drops.lines().any(is_told), "{drops}");
    assert_eq!(node.l4(network, "drops").lines().filter(|line| is_told(line)).count(), 0, "samples are taken away");
    lists.write("deny", "198.51.100.0/24\n");
    only(network, vip, "its network is denied", (false, false));
    lists.write("allow", LOUD);
    only(network, vip, "one of them is allowed all the same", (true, false));
}

/// What cannot be understood is named, and what was in force stays.
fn broken_lines(network: &Network, node: &Node, lists: &Lists, vip: Vip, configuration: &dyn Fn(&str) -> String) {
    lists.write("deny", "10.0.0.0/8\n\nnobody\n");
    let named = format!("{}: line 3: \"nobody\" is no block of addresses", lists.path("deny"));
    eventually("the line is named", || node.log().contains(&named));
    only(network, vip, "the list before is in force", (true, false));
    let rejected = || node.sluice().metrics().sum("sluice_config_rejected_total", &[]);
    let before = rejected();
    node.sluice().replace(&configuration(", limits: { sample_one_in: 2 }"));
    eventually("a configuration with it is refused", || rejected() > before);
    only(network, vip, "the list before is in force still", (true, false));
    assert_eq!(node.log().matches(&named).count(), 2, "once for the file, once for the configuration: {}", node.log());
    lists.write("deny", "");
    lists.write("allow", "");
    only(network, vip, "nobody is denied again", (true, true));
}

/// A large list, of which one host is the client.
fn many(network: &Network, node: &Node, lists: &Lists, vip: Vip) {
    let mut text = String::with_capacity(MANY * 16);
    for number in 0..MANY - 1 {
        // Hosts far apart, none of them here.
        let host = (11 << 24) + u32::try_from(number).expect("a million") * 193;
        writeln!(text, "{}", Ipv4Addr::from(host)).expect("a String takes everything");
    }
    writeln!(text, "{LOUD}").expect("a String takes everything");
    lists.write("deny", &text);
    let told = format!("guards: {MANY} blocks in force");
    eventually("the large list is in force", || node.log().contains(&told));
    println!("{}", node.log().lines().find(|line| line.contains(&told)).expect("it was there"));
    only(network, vip, "one of a million is denied", (false, true));
    lists.write("deny", "");
    only(network, vip, "nobody is denied again", (true, true));
}

/// One source is too loud; the other is served meanwhile.
fn limits(network: &Network, node: &Node, vip: Vip, configuration: &dyn Fn(&str) -> String) {
    node.replace(&configuration(", limits: { source_connections: 10, source_packets: 500 }"));
    network.client.inside(|| {
        for (reason, be_loud) in [("source_connections", connect as fn(Vip)), ("source_packets", send as fn(Vip))] {
            let before = dropped(node, reason);
            eventually(format_args!("{reason} are counted"), || {
                be_loud(vip);
                // Who is not loud keeps below what one may do, too.
                pause(Duration::from_millis(200));
                assert!(is_served(network, vip, QUIET), "who is not loud is not served");
                dropped(node, reason) > before
            });
        }
    });
    only(network, vip, "who was too loud is served once it is quiet", (true, true));
    node.replace(&configuration(""));
}

/// More connections at once than one may begin.
fn connect(vip: Vip) {
    let to = SockaddrStorage::from(vip.at(80));
    for _ in 0..30 {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).expect("a socket");
        // Under way, and given up at once.
        let _begun = nix::sys::socket::connect(socket.as_raw_fd(), &to);
    }
}

/// More packets at once than one may send.
fn send(vip: Vip) {
    let socket = UdpSocket::bind((LOUD, 0)).expect("an address of ours");
    for _ in 0..1_000 {
        socket.send_to(b"loud", vip.at(53)).expect("sent");
    }
}

/// A list stays in force while nobody lives, and after.
fn outlives_us(network: &Network, node: &mut Node, lists: &Lists, vip: Vip, text: &str) {
    lists.write("deny", LOUD);
    only(network, vip, "one host is denied", (false, true));
    node.kill();
    assert!(!is_served(network, vip, LOUD) && is_served(network, vip, QUIET), "while nobody lives");
    *node = Node::run(network, 0, text, 1);
    assert!(!is_served(network, vip, LOUD) && is_served(network, vip, QUIET), "taken over");
    lists.write("deny", "");
    only(network, vip, "the next process watches it too", (true, true));
}
