//! Who is probed, when, and what is made of the answers. Pure: no clock, no socket.
//!
//! An endpoint of a cluster is up while all that is asked of it is answered: every check at every address and port of every VIP that leads to
//! it. What nobody has asked yet is as the kernel's maps have it, so that a new process changes nothing before it knows better.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use config::{Cluster, ClusterSlot, Endpoint, HealthCheck, HealthKind, Name, ProbeBy, Snapshot, Transport, Vip, VipMode};
use hashbrown::HashMap;

use crate::mix::mix_bytes;
use crate::tables::Family;

/// How soon answers are looked for while any is expected: a timeout is seen so much later.
pub(crate) const ANSWER_LOOK: Duration = Duration::from_millis(20);

/// One thing that is asked of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The cluster.
    pub cluster: Name,
    /// The endpoint's name.
    pub endpoint: Name,
    /// Its address.
    pub origin: SocketAddr,
    /// The VIP on whose way it is asked.
    pub vip: Name,
    /// One of the VIP's addresses.
    pub address: IpAddr,
    /// Where.
    pub door: Door,
    /// Which check of the cluster asks.
    pub check: usize,
}

/// Where it is asked: whether it accepts connections there, and what [`Probes::question`] says beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// At the VIP's address and this port.
    Tcp(u16),
    /// At the VIP's address, by an echo request: of a VIP without TCP that is all one can know.
    Echo,
    /// At its own address and port.
    Direct(SocketAddr),
}

/// When and how often it has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
}

impl Rule {
    /// From one question to the next. What stops to answer right after it was asked is asked `fall` times within `fall` intervals, and the last
    /// question has its timeout by then too: so while answers are missing, questions are closer together.
    fn next_after(&self, is_failing: bool) -> Duration {
        let gaps = self.fall.saturating_sub(1);
        if !is_failing || gaps == 0 {
            return self.interval;
        }
        self.interval.saturating_sub((self.timeout + ANSWER_LOOK) / gaps)
    }
}

/// Everything that is probed.
#[derive(Debug, Default)]
pub struct Probes {
    probes: BTreeMap<Target, Probe>,
    /// How many of its targets say that an endpoint of a cluster is down; absent is none.
    down: HashMap<(Name, Name), u32>,
}

#[derive(Debug)]
struct Probe {
    rule: Rule,
    /// What is asked over the connection, of a cluster's endpoint; `None`: that it accepts is enough.
    question: Option<(ClusterSlot, HealthCheck)>,
    is_up: bool,
    /// Answers in a row that say otherwise.
    others: u32,
    /// When it was asked, or is to be asked next.
    at: Duration,
    is_asked: bool,
}

impl Probes {
    /// Takes a configuration: what is new begins as `is_up` has it.
    pub fn take(&mut self, snapshot: &Snapshot, is_up: &dyn Fn(&Cluster, &Endpoint) -> bool, now: Duration) {
        let mut before = core::mem::take(&mut self.probes);
        for vip in snapshot.vips.values() {
            let Some(cluster) = vip.mode.cluster().and_then(|slot| snapshot.cluster(slot)) else { continue };
            for (endpoint, number) in
                cluster.endpoints.iter().flat_map(|endpoint| (0..cluster.health.len()).map(move |one| (endpoint, one)))
            {
                let check = &cluster.health[number];
                let rule = Rule { interval: check.interval, timeout: check.timeout, rise: check.rise, fall: check.fall };
                for target in targets(vip, cluster, endpoint, number) {
                    let question = (check.kind != HealthKind::Tcp).then(|| (cluster.slot, check.clone()));
                    let (at, is_up) = (now + phase(&target, rule.interval), is_up(cluster, endpoint));
                    let probe = match before.remove(&target) {
                        Some(probe) => Probe { rule, question, ..probe },
                        None => Probe { rule, question, is_up, others: 0, at, is_asked: false },
                    };
                    self.probes.insert(target, probe);
                }
            }
        }
        self.down.clear();
        for (target, _) in self.probes.iter().filter(|(_, probe)| !probe.is_up) {
            *self.down.entry((target.cluster.clone(), target.endpoint.clone())).or_default() += 1;
        }
    }

    /// What is to be asked now, at most so many, and how long to wait for an answer. Each is under way until [`Self::answer`].
    pub fn due(&mut self, now: Duration, most: usize) -> Vec<(Target, Duration)> {
        let due = self.probes.iter_mut().filter(|(_, probe)| !probe.is_asked && probe.at <= now).take(most);
        due.map(|(target, probe)| {
            (probe.at, probe.is_asked) = (now, true);
            (target.clone(), probe.rule.timeout)
        })
        .collect()
    }

    /// What is asked over a connection to it; `None`: that it accepts is enough.
    pub fn question(&self, target: &Target) -> Option<(ClusterSlot, &HealthCheck)> {
        self.probes.get(target)?.question.as_ref().map(|(slot, check)| (*slot, check))
    }

    /// It could not be asked, which says nothing of it: it is due again then.
    pub fn put_off(&mut self, target: &Target, until: Duration) {
        if let Some(probe) = self.probes.get_mut(target) {
            (probe.at, probe.is_asked) = (until, false);
        }
    }

    /// Notes whether it answered, and says so when that changes whether its endpoint is up.
    pub fn answer(&mut self, target: &Target, answered: bool, now: Duration) -> Option<bool> {
        let probe = self.probes.get_mut(target)?;
        probe.at = now.max(probe.at + probe.rule.next_after(probe.is_up && !answered));
        probe.is_asked = false;
        if probe.is_up == answered {
            probe.others = 0;
            return None;
        }
        probe.others += 1;
        let enough = if answered { probe.rule.rise } else { probe.rule.fall };
        if probe.others < enough {
            return None;
        }
        probe.is_up = answered;
        probe.others = 0;
        let down = self.down.entry((target.cluster.clone(), target.endpoint.clone())).or_default();
        let was_up = *down == 0;
        *down = if answered { down.saturating_sub(1) } else { *down + 1 };
        let is_up = *down == 0;
        (was_up != is_up).then_some(is_up)
    }

    /// Whether all that is asked of an endpoint is answered.
    pub fn is_up(&self, cluster: &Cluster, endpoint: &Endpoint) -> bool {
        self.down.get(&(cluster.name.clone(), endpoint.name.clone())).is_none_or(|down| *down == 0)
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Duration> {
        self.probes.values().filter(|probe| !probe.is_asked).map(|probe| probe.at).min()
    }

    /// Whether anything is probed at all.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }
}

/// What one check asks of an endpoint on the way of one VIP.
fn targets(vip: &Vip, cluster: &Cluster, endpoint: &Endpoint, number: usize) -> Vec<Target> {
    let check = &cluster.health[number];
    let Some(origin) = Family::Any.address_of(endpoint) else { return Vec::new() };
    let target = |address, door| Target {
        cluster: cluster.name.clone(),
        endpoint: endpoint.name.clone(),
        origin,
        vip: vip.name.clone(),
        address,
        door,
        check: number,
    };
    let tcp = vip.ports.iter().filter(|ports| ports.transport == Transport::Tcp);
    // What is translated comes to the origin's own address: the straight way is the way of clients' packets too.
    if vip.probe == ProbeBy::Direct || matches!(vip.mode, VipMode::Nat { .. }) {
        let own = Some(origin.port()).filter(|port| *port != 0);
        let port = check.port.or(own).or_else(|| tcp.map(|ports| ports.first).next());
        let address = vip.addresses.iter().copied().find(|address| address.is_ipv4() == origin.is_ipv4());
        return port
            .zip(address)
            .map(|(port, address)| target(address, Door::Direct(SocketAddr::new(origin.ip(), port))))
            .into_iter()
            .collect();
    }
    let doors: Vec<Door> = match check.port {
        Some(port) => [Door::Tcp(port)].into(),
        // Nobody promises that every port of a range has a listener.
        None => tcp.filter(|ports| ports.first == ports.last).map(|ports| Door::Tcp(ports.first)).collect(),
    };
    let doors = if doors.is_empty() { [Door::Echo].into() } else { doors };
    vip.addresses.iter().flat_map(|address| doors.iter().map(|door| target(*address, *door))).collect()
}

/// Where in its interval a target begins, so that not all are asked at once.
fn phase(target: &Target, interval: Duration) -> Duration {
    let text = alloc::format!("{target:?}");
    let part = u32::try_from(mix_bytes(0, text.as_bytes()) % 1_000).unwrap_or(0);
    interval * part / 1_000
}
