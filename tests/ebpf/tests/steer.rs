//! VIPs that end at our own listeners: addresses that no interface has, ranges, whole addresses; and which worker a connection goes to.

use abi::{Address, MODE_DSR, MODE_TERMINATE, PortKey, PortRange, Ports, Service, SteerCount, protocols};
use ebpf::world::address;
use l4::{Balancer, Folder, LocalRoutes, Steering};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, unshare};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

const TERMINATED: u32 = 1;
const TERMINATED6: u32 = 2;
const FORWARDED: u32 = 3;

/// Two listening sockets of one bind, as two workers have them.
fn group(bind: &str) -> (SocketAddr, [TcpListener; 2]) {
    let mut bind: SocketAddr = bind.parse().expect("an address");
    let sockets = [(); 2].map(|()| {
        let socket = Socket::new(Domain::for_address(bind), Type::STREAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("known");
        socket.bind(&bind.into()).expect("free");
        socket.listen(64).expect("listens");
        socket.set_nonblocking(true).expect("known");
        bind = socket.local_addr().expect("bound").as_socket().expect("of IP");
        TcpListener::from(socket)
    });
    (bind, sockets)
}

fn handles(sockets: &[TcpListener]) -> Vec<OwnedFd> {
    sockets.iter().map(|socket| socket.try_clone().expect("a handle").into()).collect()
}

fn ranges(first: u16, last: u16, service: u32) -> Ports {
    let mut ports = Ports { count: 1, ..Ports::default() };
    ports.ranges[0] = PortRange { first, last, service };
    ports
}

/// Connects, and says which socket has it now; `None` when it was refused.
fn connect(to: &str, sockets: &[TcpListener]) -> Option<usize> {
    let to: SocketAddr = to.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).ok()?;
    let (at, accepted) = sockets.iter().enumerate().find_map(|(at, socket)| Some((at, socket.accept().ok()?.0)))?;
    // The connection is to the VIP's own address, whatever the socket is bound to.
    assert_eq!((accepted.local_addr().expect("known"), stream.peer_addr().expect("known")), (to, to));
    Some(at)
}

fn on_cpu(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("few CPUs");
    sched_setaffinity(Pid::from_raw(0), &set).expect("allowed");
}

fn terminate(balancer: &mut Balancer) {
    let tcp = |vip: Address, port| PortKey::new(vip, protocols::TCP, port);
    balancer.put_service(TERMINATED, Service { mode: MODE_TERMINATE, ..Service::default() }).expect("written");
    balancer.put_service(TERMINATED6, Service { mode: MODE_TERMINATE, ..Service::default() }).expect("written");
    balancer.put_service(FORWARDED, Service { mode: MODE_DSR, ..Service::default() }).expect("written");
    balancer.put_port(tcp(address("203.0.113.10"), 80), TERMINATED).expect("written");
    balancer.put_port(tcp(address("203.0.113.10"), 81), FORWARDED).expect("written");
    balancer.put_address(tcp(address("203.0.113.10"), 0), ranges(8000, 8010, TERMINATED)).expect("written");
    balancer.put_address(tcp(address("203.0.113.11"), 0), ranges(0, 65535, TERMINATED)).expect("written");
    balancer.put_port(tcp(address("2001:db8::10"), 80), TERMINATED6).expect("written");
}

#[test]
fn connections_come_to_their_listener_and_worker() {
    let folder = Folder::of_instance(&format!("test-steer-{}", std::process::id())).expect("root");
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root: run the tests as root");
    assert!(std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("iproute2").success());
    let mut balancer = Balancer::open(folder.clone()).expect("loads");
    terminate(&mut balancer);
    let mut steering = Steering::open(&folder).expect("loads");
    let mut routes = LocalRoutes::open("test").expect("opens");
    let vips: BTreeSet<IpAddr> = ["203.0.113.10", "203.0.113.11", "2001:db8::10"].map(|vip| vip.parse().expect("an address")).into();
    routes.set(&vips).expect("set");
    assert_eq!(routes.list().expect("listed"), vips);
    assert!(LocalRoutes::open("other").expect("opens").list().expect("listed").is_empty(), "another instance's");

    let (bind, v4) = group("127.0.0.1:0");
    let (bind6, v6) = group("[::1]:0");
    steering.set_workers(&[Some(0), Some(1)]).expect("written");
    assert_eq!(connect("203.0.113.10:80", &v4), None, "nobody is told yet");
    for (bind, sockets, service) in [(bind, &v4, TERMINATED), (bind6, &v6, TERMINATED6)] {
        let group = steering.add(bind, &handles(sockets)).expect("added").expect("there is room");
        steering.point(service, Some(group)).expect("written");
    }

    let cpus = std::thread::available_parallelism().expect("known").get().min(2);
    for cpu in 0..cpus {
        on_cpu(cpu);
        for (to, sockets) in [
            ("203.0.113.10:80", &v4),
            ("203.0.113.10:8000", &v4),
            ("203.0.113.10:8010", &v4),
            ("203.0.113.11:1", &v4),
            ("203.0.113.11:65535", &v4),
            ("[2001:db8::10]:80", &v6),
        ] {
            assert_eq!(connect(to, sockets), Some(cpu), "{to} on CPU {cpu}");
        }
        for to in ["203.0.113.10:7999", "203.0.113.10:8011", "203.0.113.10:81", "[2001:db8::10]:81"] {
            assert_eq!(connect(to, &v4), None, "{to}");
        }
    }

    // A worker that holds more than its part gets what the hash gives it, no more.
    steering.set_full(&[true, true]).expect("written");
    let by_hash: Vec<usize> = (0..40).filter_map(|_| connect("203.0.113.10:80", &v4)).collect();
    assert_eq!(by_hash.len(), 40);
    assert!(by_hash.contains(&0) && by_hash.contains(&1), "{by_hash:?}");
    let counted = l4::steered(&folder).expect("read");
    assert_eq!(steering.counts().expect("read"), counted, "from inside and outside");
    let count = |what: SteerCount| counted.iter().find(|(known, _)| *known == what).expect("known").1;
    assert_eq!(count(SteerCount::Full), 40);
    assert_eq!(count(SteerCount::ByCpu), 6 * cpus as u64);
    assert_eq!(count(SteerCount::NoListener), 1);

    // Gone with its group, and with its route.
    steering.remove(0).expect("removed");
    assert_eq!(connect("203.0.113.10:80", &v4), None);
    assert!(connect("[2001:db8::10]:80", &v6).is_some());
    routes.set(&BTreeSet::new()).expect("set");
    assert!(routes.list().expect("listed").is_empty());
    drop((steering, balancer));
    assert!(folder.remove().expect("removed"));
}
