//! Next hops as the kernel has them: asked for, followed, and the same as the balancer finds packet by packet.

use abi::{Backend, Counters, MODE_DSR, PortKey, Reason, Service, VIA_IPIP, protocols};
use aya::TestRun as _;
use aya::programs::TestRunOptions;
use ebpf::namespace::{self, ROUTER_MAC};
use ebpf::packet::{ACK, CLIENT_MAC, OWN_MAC, V4, frame, ipv4, tcp};
use ebpf::world::{CLIENT4, PORT, SERVICE, TABLE, VIP4, address, ip, settings};
use l4::{Balancer, Folder, Hop, Hops};
use nix::net::if_::if_nametoindex;
use std::cell::Cell;
use std::net::IpAddr;
use std::process::{self, Command};
use std::time::Duration;

const BACKEND4: &str = "10.0.0.21";
const BACKEND6: &str = "fd00::21";
/// `XDP_TX` and `XDP_REDIRECT`.
const TRANSMIT: u32 = 3;
const REDIRECT: u32 = 4;

/// An instance that is gone when the test is, whatever its end.
struct Instance(Folder);

impl Drop for Instance {
    fn drop(&mut self) {
        self.0.remove().expect("removed");
    }
}

impl Instance {
    fn new(name: &str) -> (Self, Balancer) {
        let folder = Folder::of_instance(&format!("test-{name}-{}", process::id())).expect("root");
        let mut balancer = Balancer::open(folder.clone()).expect("loads");
        balancer.put_settings(settings()).expect("written");
        (Self(folder), balancer)
    }
}

fn command(text: &str) {
    let status = Command::new("ip").args(text.split(' ')).status().expect("iproute2");
    assert!(status.success(), "ip {text}");
}

fn interface(name: &str) -> u32 {
    if_nametoindex(name).expect("it is there")
}

/// A clock of which each look takes a millisecond.
fn clock(now: &Cell<Duration>) -> impl Fn() -> Duration {
    || now.replace(now.get() + Duration::from_millis(1))
}

#[test]
fn what_the_kernel_says_is_followed() {
    namespace::enter();
    let (_instance, balancer) = Instance::new("hops");
    command("link add other type veth peer name beyond");
    command("link set other up");
    command("addr add 10.9.0.2/24 dev other");
    let own = interface("out");
    let (all, one) = ([own, interface("other")], [own]);
    let backends: [IpAddr; 2] = [ip(BACKEND4), ip(BACKEND6)];
    let mut hops = Hops::open().expect("a socket");
    let (mac, other_mac, gateway) = ([2, 0, 0, 0, 0, 0x21], [2, 0, 0, 0, 0, 0x22], [2, 0, 0, 0, 0, 1]);
    let hop = |mac| Some(Hop { mac, source_mac: ROUTER_MAC, interface: own });
    let now = Cell::new(Duration::ZERO);
    for (what, commands, interfaces, expected) in [
        ("nobody is known", &[][..], &all[..], [None, None]),
        ("a neighbour", &["neigh add 10.0.0.21 lladdr 02:00:00:00:00:21 dev out"], &all, [hop(mac), None]),
        ("of IPv6", &["neigh add fd00::21 lladdr 02:00:00:00:00:21 dev out"], &all, [hop(mac); 2]),
        ("its MAC is another", &["neigh replace 10.0.0.21 lladdr 02:00:00:00:00:22 dev out"], &all, [hop(other_mac), hop(mac)]),
        (
            "behind a gateway",
            &["neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev out", "route add 10.0.0.21/32 via 10.0.0.1"],
            &all,
            [hop(gateway), hop(mac)],
        ),
        ("the gateway's way ends", &["route del 10.0.0.21/32 via 10.0.0.1"], &all, [hop(other_mac), hop(mac)]),
        ("nobody may go there", &["route add unreachable 10.0.0.21/32"], &all, [None, hop(mac)]),
        ("again", &["route del unreachable 10.0.0.21/32"], &all, [hop(other_mac), hop(mac)]),
        ("packets of one interface may not", &["rule add iif other prohibit"], &all, [None, hop(mac)]),
        ("which is none of ours", &[], &one, [hop(other_mac), hop(mac)]),
        ("no neighbour any more", &["neigh del fd00::21 dev out"], &one, [hop(other_mac), None]),
        ("no interface", &["link del out"], &one, [None, None]),
    ] {
        let before = backends.map(|backend| hops.get(backend));
        for text in commands {
            command(text);
        }
        if commands.is_empty() {
            hops.look_anew();
        }
        assert!(hops.is_due(now.get() + Duration::from_millis(500)), "{what}: it was announced");
        assert_eq!(hops.look(&balancer, &backends, interfaces, clock(&now)), before != expected, "{what}");
        assert_eq!(backends.map(|backend| hops.get(backend)), expected, "{what}");
        hops.look_anew();
        assert!(!hops.is_due(now.get()), "{what}: it rests after a look, whatever there is to do");
    }
}

/// More than are asked for at a time.
#[test]
fn many_take_turns() {
    namespace::enter();
    let (_instance, balancer) = Instance::new("turns");
    let backends: Vec<IpAddr> = (0..2_500_u32).map(|number| IpAddr::from((0x0a64_0000 + number).to_be_bytes())).collect();
    command("route add 10.100.0.0/16 via 198.51.100.7 dev out onlink");
    let mut hops = Hops::open().expect("a socket");
    let interfaces = [interface("out")];
    let known = |hops: &Hops| backends.iter().filter(|backend| hops.get(**backend).is_some()).count();
    for expected in [1_024, 2_048, 2_500] {
        assert!(hops.is_due(Duration::ZERO));
        assert!(hops.look(&balancer, &backends, &interfaces, || Duration::ZERO));
        assert_eq!(known(&hops), expected);
    }
    hops.forget();
    assert_eq!(known(&hops), 0);
}

/// The same frame leaves, whether the kernel is asked for it or what it said before is written down.
#[test]
fn either_way_is_the_same() {
    namespace::enter();
    let (_instance, mut balancer) = Instance::new("either");
    command("neigh add 10.0.0.21 lladdr 02:00:00:00:00:21 dev out");
    let service = Service { mode: MODE_DSR, via: VIA_IPIP, table: TABLE, ..Service::default() };
    balancer.put_table(TABLE, &vec![1; settings().slots as usize]).expect("written");
    balancer.put_service(SERVICE, service).expect("written");
    balancer.put_port(PortKey::new(address(VIP4), protocols::TCP, PORT), SERVICE).expect("written");
    let ends = (ip(CLIENT4), ip(VIP4));
    let packet = frame(OWN_MAC, CLIENT_MAC, &[], &ipv4(ends, protocols::TCP, &V4::default(), &tcp(ends, (4000, PORT), ACK, b"x")));
    for (came_by, verdict) in [("out", TRANSMIT), ("lo", REDIRECT)] {
        let mut hops = Hops::open().expect("a socket");
        assert!(hops.look(&balancer, &[ip(BACKEND4)], &[interface(came_by)], || Duration::ZERO));
        let known = hops.get(ip(BACKEND4)).expect("it is known");
        let seen = [Hop::default(), known].map(|hop| {
            let Hop { mac, source_mac, interface: out } = hop;
            let backend = Backend { address: address(BACKEND4), mac, source_mac, interface: out, ..Backend::default() };
            balancer.put_backend(1, backend).expect("written");
            let asked = balancer.reason(Reason::ByRoutes).expect("read");
            let left = run(&mut balancer, &packet, interface(came_by));
            (left, balancer.reason(Reason::ByRoutes).expect("read") - asked)
        });
        assert_eq!(seen[0].0, seen[1].0, "{came_by}");
        assert_eq!((seen[0].0.0, seen[0].1, seen[1].1), (verdict, 1, 0), "{came_by}");
    }
    let Counters { packets, .. } = balancer.backend_counters(1).expect("read");
    assert_eq!(packets, 4);
}

/// Runs the balancer on a packet that came by an interface: its answer, and the frame.
fn run(balancer: &mut Balancer, packet: &[u8], interface: u32) -> (u32, Vec<u8>) {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&u32::try_from(packet.len()).expect("it is short").to_ne_bytes());
    context[12..16].copy_from_slice(&interface.to_ne_bytes());
    let mut out = vec![0; 4096];
    let mut options = TestRunOptions::new();
    (options.data_in, options.data_out, options.ctx_in) = (Some(packet), Some(&mut out[..]), Some(&context[..]));
    let result = balancer.program().expect("loaded").test_run(options).expect("the kernel runs it");
    out.truncate(result.data_size_out as usize);
    (result.return_value, out)
}
