//! A network namespace: as long as somebody holds it, and no longer.

use std::fs::{self, File};
use std::panic;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, gettid};

/// A network of its own.
pub struct Namespace {
    file: File,
    /// A thread that lives in it, by which `ip` can name it.
    holder: Pid,
    _end: mpsc::Sender<()>,
}

impl Namespace {
    /// An empty one, its loopback up.
    pub fn new() -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let (made, making) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root: run the lab as root");
            let file = File::open("/proc/thread-self/ns/net").expect("procfs");
            made.send((file, gettid())).expect("somebody waits");
            // Until it is dropped.
            let _end = ended.recv();
        });
        let (file, holder) = making.recv().expect("a namespace");
        let namespace = Self { file, holder, _end: end };
        namespace.ip("link set lo up");
        for setting in
            ["ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad", "ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"]
        {
            namespace.set(setting, "0");
        }
        namespace
    }

    /// Does something inside; processes and sockets that it starts stay there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inner = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("it is there");
            work()
        };
        thread::scope(|scope| scope.spawn(inner).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Runs `ip` with these arguments.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        self.run("ip", arguments);
    }

    /// Runs a program of the system that has to succeed.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &str) {
        let words = arguments.split(' ').filter(|word| !word.is_empty());
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null());
        let output = self.inside(|| command.output());
        let output = output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): `cargo xtask setup` installs it"));
        assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes a setting under `/proc/sys/net`.
    #[track_caller]
    pub fn set(&self, setting: &str, value: &str) {
        let path = format!("/proc/sys/net/{setting}");
        self.inside(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// IPv4 packets that its stack forwarded.
    pub fn forwarded(&self) -> u64 {
        let text = self.inside(|| fs::read_to_string("/proc/thread-self/net/snmp")).expect("procfs");
        // The names in one line, the numbers in the next.
        let mut lines = text.lines().filter(|line| line.starts_with("Ip:")).map(str::split_whitespace);
        let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
        let count = names.zip(numbers).find(|(name, _)| *name == "ForwDatagrams").expect("it is counted").1;
        count.parse().expect("a number")
    }

    /// A wire from `here` to `there` of another namespace. Packets on it are as they would be on a real one: each with its checksum, none larger
    /// than the interface says.
    pub fn wire(&self, here: &str, other: &Self, there: &str, mtu: u32) {
        self.ip(&format!("link add {here} mtu {mtu} type veth peer name {there} mtu {mtu} netns {}", other.holder));
        for (namespace, interface) in [(self, here), (other, there)] {
            namespace.run("ethtool", &format!("-K {interface} tx off rx off gro off gso off tso off"));
            namespace.ip(&format!("link set {interface} up"));
        }
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}
