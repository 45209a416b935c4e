//! A node: the program itself, in its namespace.

use std::net::IpAddr;

use e2e::{Setup, Signal, Sluice, eventually, sluice_command};

use crate::configuration::Configuration;
use crate::network::Network;
use crate::vip::Vip;

/// With the interfaces of its namespace under `/sys`, and the BPF filesystem that all share.
const INSIDE: &str = "mkdir -p /run/sluice-lab && mount -t tmpfs none /run/sluice-lab && mkdir /run/sluice-lab/bpf && \
    mount --bind /sys/fs/bpf /run/sluice-lab/bpf && mount -t sysfs none /sys && mount --bind /run/sluice-lab/bpf /sys/fs/bpf && exec \"$@\"";

/// A running node.
pub struct Node {
    sluice: Sluice,
    number: usize,
}

impl Node {
    /// Starts it with the configuration of the lab's VIPs, and waits until packets are forwarded.
    #[track_caller]
    pub fn start(network: &Network, number: usize, configuration: &Configuration) -> Self {
        Self::run(network, number, &configuration.text(network, number), 1)
    }

    /// Starts it with any other, and so many workers.
    #[track_caller]
    pub fn run(network: &Network, number: usize, text: &str, workers: usize) -> Self {
        // The BPF filesystem has to be there before it is shared: listing an instance that is not there mounts it.
        drop(sluice_command().args(["decap", "--unload", "--name", "lab-mounts"]).output());
        let setup = Setup::new(text).with(&["--workers", &workers.to_string()]);
        let setup = setup.under(&["unshare", "--mount", "sh", "-c", INSIDE, "sh"]);
        let sluice = network.nodes[number].inside(|| setup.start());
        Self { sluice, number }
    }

    /// Puts another configuration in force.
    #[track_caller]
    pub fn apply(&self, network: &Network, configuration: &Configuration) {
        self.replace(&configuration.text(network, self.number));
    }

    /// The same with any other.
    #[track_caller]
    pub fn replace(&self, text: &str) {
        let applied = || self.sluice.metrics().sum("sluice_config_applied_total", &[]);
        let rejected = || self.sluice.metrics().sum("sluice_config_rejected_total", &[]);
        let before = applied();
        let refused = rejected();
        self.sluice.replace(text);
        eventually("the configuration is in force", || {
            assert_eq!(rejected(), refused, "{}", self.sluice.log());
            applied() > before
        });
    }

    /// Ends it as badly as can be.
    pub fn kill(&mut self) {
        self.sluice.signal(Signal::KILL);
        self.sluice.wait();
    }

    /// What it said.
    pub fn log(&self) -> String {
        self.sluice.log()
    }

    /// Why an origin is down for a VIP, as it said last; `None` when it said that it is up, or nothing.
    pub fn says_down(&self, origin: usize, vip: Vip) -> Option<String> {
        self.says_down_in(&vip.to_string(), Network::origin_address(origin, vip.family))
    }

    /// The same of an origin of any cluster.
    pub fn says_down_in(&self, cluster: &str, origin: IpAddr) -> Option<String> {
        let endpoint = format!("{origin} of {cluster} is ");
        let log = self.log();
        let last = log.lines().rev().find_map(|line| Some(line.split_once(&endpoint)?.1))?;
        last.strip_prefix("down: ").map(str::to_owned)
    }

    /// The program as a process.
    pub fn sluice(&self) -> &Sluice {
        &self.sluice
    }

    /// What `sluice l4 show` says.
    #[track_caller]
    pub fn show(&self, network: &Network) -> String {
        self.l4(network, "show")
    }

    /// What `sluice l4` says to this.
    #[track_caller]
    pub fn l4(&self, network: &Network, verb: &str) -> String {
        let mut command = sluice_command();
        command.args(["l4", verb, "--config"]).arg(self.sluice.file());
        let output = network.nodes[self.number].inside(|| command.output()).expect("sluice can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}
