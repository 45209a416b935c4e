//! VIPs that end here: their local routes, the listeners that take their connections, and the workers that get them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::SteerCount;
use anyhow::{Context, Result};
use config::{Name, Snapshot, Vip, VipMode};
use l4::{Folder, LocalRoutes, Steering};
use model::Address;
use worker::{Fleet, Listening, Pulse};

/// The workers, as the kernel layer has to know them.
#[derive(Default)]
pub(crate) struct Roster {
    listening: Listening,
    cpus: Vec<Option<usize>>,
    pulses: Vec<Arc<Pulse>>,
}

/// Steering, and what it has been told.
pub(crate) struct Steer {
    steering: Steering,
    routes: LocalRoutes,
    groups: BTreeMap<Key, u32>,
    pointed: BTreeMap<u32, u32>,
    roster: Roster,
}

/// A group of sockets: its listener, what it is bound to, and which sockets these are.
type Key = (Name, SocketAddr, u64);

impl Roster {
    /// What the fleet is now. Hold it no longer than it takes to tell the kernel: it keeps sockets open.
    pub(crate) fn of(fleet: &Fleet) -> Result<Self> {
        let clones = |sockets: &Vec<OwnedFd>| sockets.iter().map(OwnedFd::try_clone).collect::<Result<_, _>>();
        let tcp = fleet.listening().iter().filter(|((_, address), _)| matches!(address, Address::Tcp(_)));
        let listening = tcp.map(|(key, sockets)| Ok((key.clone(), clones(sockets)?))).collect::<Result<_, std::io::Error>>();
        Ok(Self { listening: listening.context("no second handle of a socket")?, cpus: fleet.cpus().to_vec(), pulses: fleet.pulses() })
    }
}

impl Steer {
    /// Loads the programs; nothing is steered yet.
    pub(crate) fn open(folder: &Folder, instance: &str) -> Result<Self> {
        let routes = LocalRoutes::open(instance).context("routes cannot be looked at")?;
        let steering = Steering::open(folder).context("connections cannot be steered")?;
        Ok(Self { steering, routes, groups: BTreeMap::new(), pointed: BTreeMap::new(), roster: Roster::default() })
    }

    /// Takes the workers and VIPs of a configuration; `services` are the numbers of services by name.
    pub(crate) fn take(&mut self, roster: Roster, snapshot: &Snapshot, services: &BTreeMap<u32, Arc<str>>) -> Result<()> {
        if self.roster.cpus != roster.cpus {
            self.steering.set_workers(&roster.cpus)?;
        }
        self.listen(&roster.listening)?;
        // The sockets themselves are the kernel's from here on, and the workers'.
        self.roster = Roster { listening: Listening::new(), ..roster };
        self.point(snapshot, services)?;
        self.routes.set(&addresses(snapshot)).context("local routes of VIPs cannot be set")
    }

    /// Looks at how many connections each worker holds.
    pub(crate) fn weigh(&mut self) -> Result<()> {
        let held: Vec<u64> = self.roster.pulses.iter().map(|pulse| pulse.serving()).collect();
        Ok(self.steering.set_full(&l4::full(&held))?)
    }

    /// What was steered so far.
    pub(crate) fn counts(&self) -> Result<Vec<(SteerCount, u64)>> {
        Ok(self.steering.counts()?)
    }

    fn listen(&mut self, listening: &Listening) -> Result<()> {
        let wanted: BTreeMap<Key, &Vec<OwnedFd>> =
            listening.iter().filter_map(|((name, address), sockets)| Some((key(name, address, sockets)?, sockets))).collect();
        let gone: Vec<Key> = self.groups.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for (key, sockets) in wanted {
            if self.groups.contains_key(&key) {
                continue;
            }
            let added = self.steering.add(key.1, sockets).with_context(|| format!("listener {:?}: {}", key.0, key.1))?;
            let Some(group) = added else {
                tracing::warn!("listener {:?}: {}: too many sockets to steer connections to", key.0, key.1);
                continue;
            };
            self.groups.insert(key, group);
        }
        for key in gone {
            if let Some(group) = self.groups.remove(&key) {
                self.steering.remove(group)?;
            }
        }
        Ok(())
    }

    fn point(&mut self, snapshot: &Snapshot, services: &BTreeMap<u32, Arc<str>>) -> Result<()> {
        let mut wanted = BTreeMap::new();
        for (number, name) in services {
            let Some((vip, family)) = name.rsplit_once('/') else { continue };
            let Some(VipMode::Terminate(listener)) = snapshot.vips.get(vip).map(|vip| &vip.mode) else { continue };
            let takes = |key: &Key| key.0 == *listener && key.1.is_ipv4() == (family == "v4");
            if let Some((_, group)) = self.groups.iter().find(|(key, _)| takes(key)) {
                wanted.insert(*number, *group);
            }
        }
        for number in self.pointed.keys().filter(|number| !wanted.contains_key(*number)) {
            self.steering.point(*number, None)?;
        }
        for (number, group) in wanted.iter().filter(|(number, group)| self.pointed.get(*number) != Some(*group)) {
            self.steering.point(*number, Some(*group))?;
        }
        self.pointed = wanted;
        Ok(())
    }
}

/// Whether VIPs end here at all.
pub(crate) fn is_needed(snapshot: &Snapshot) -> bool {
    terminated(snapshot).next().is_some()
}

fn terminated(snapshot: &Snapshot) -> impl Iterator<Item = (&Vip, &Name)> {
    snapshot.vips.values().filter_map(|vip| match &vip.mode {
        VipMode::Terminate(listener) => Some((&**vip, listener)),
        VipMode::Dsr { .. } | VipMode::Nat { .. } => None,
    })
}

/// The addresses that this machine is to take packets of.
fn addresses(snapshot: &Snapshot) -> BTreeSet<IpAddr> {
    terminated(snapshot).flat_map(|(vip, _)| vip.addresses.iter().copied()).collect()
}

fn key(name: &Name, address: &Address, sockets: &[OwnedFd]) -> Option<Key> {
    let Address::Tcp(bind) = address else { return None };
    // A socket's number is its own until it is closed, whatever handles it has.
    let number = rustix::fs::fstat(sockets.first()?).ok()?.st_ino;
    Some((Name::clone(name), *bind, number))
}
