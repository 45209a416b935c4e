//! Steering into our own listeners: the programs, and what they have to know of sockets and workers.
//!
//! The maps that say what is a VIP are the balancer's, pinned; all others end with the process, as listening sockets do.

use crate::load::LoadError;
use crate::pin::{Folder, PinError};
use crate::programs;
use abi::{Bind, STEER_CPUS, STEER_GROUPS, STEER_WORKERS, SteerCount};
use alloc::{borrow::ToOwned, collections::BTreeMap, vec::Vec};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, SockMap};
use aya::programs::{ProgramError, SkLookup, SkReuseport};
use aya::{Ebpf, EbpfLoader};
use core::borrow::Borrow;
use core::net::SocketAddr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The balancer's maps that steering reads.
const SHARED: [&str; 3] = ["PORTS", "ADDRESSES", "SERVICES"];

/// Pinned so that whoever looks can see it; nobody adopts it.
const COUNTERS: &str = "STEERED";

/// The programs of one process.
pub struct Steering {
    ebpf: Ebpf,
    /// Which group has which bind.
    groups: BTreeMap<u32, Bind>,
}

impl Steering {
    /// Loads the programs over the maps of the instance in `folder`, and has the kernel ask for listeners in this network namespace.
    pub fn open(folder: &Folder) -> Result<Self, LoadError> {
        let counters = folder.map(COUNTERS);
        // Those of an earlier process are about sockets that are gone.
        let _none_there = std::fs::remove_file(&counters);
        let mut loader = EbpfLoader::new();
        for name in SHARED {
            loader.map_pin_path(name, folder.map(name));
        }
        loader.map_pin_path(COUNTERS, counters);
        let mut ebpf = loader.load(programs::STEER)?;
        let choose: &mut SkReuseport = ebpf.program_mut("choose").ok_or(ProgramError::NotLoaded)?.try_into()?;
        choose.load()?;
        let lookup: &mut SkLookup = ebpf.program_mut("lookup").ok_or(ProgramError::NotLoaded)?.try_into()?;
        lookup.load()?;
        let path = Path::new("/proc/thread-self/ns/net");
        let namespace = File::open(path).map_err(|source| PinError::File { path: path.to_owned(), source })?;
        lookup.attach(namespace)?;
        Ok(Self { ebpf, groups: BTreeMap::new() })
    }

    /// Which worker runs on which CPU: by worker, `None` where it is not pinned.
    pub fn set_workers(&mut self, cpus: &[Option<usize>]) -> Result<(), MapError> {
        let count = u32::try_from(cpus.len()).unwrap_or(u32::MAX).min(STEER_WORKERS);
        self.array("WORKERS")?.set(0, count, 0)?;
        let mut workers = self.array("CPU_WORKERS")?;
        for (worker, cpu) in (1..=count).zip(cpus) {
            if let Some(cpu) = cpu.and_then(|cpu| u32::try_from(cpu).ok()).filter(|cpu| *cpu < STEER_CPUS) {
                workers.set(cpu, worker, 0)?;
            }
        }
        Ok(())
    }

    /// Which workers hold more than their part.
    pub fn set_full(&mut self, full: &[bool]) -> Result<(), MapError> {
        let mut map = self.array("FULL")?;
        (0..STEER_WORKERS).zip(full).try_for_each(|(worker, full)| map.set(worker, u32::from(*full), 0))
    }

    /// The listening sockets of one bind, by worker; the group's number. `None` when there is no room for another group.
    pub fn add(&mut self, bind: SocketAddr, sockets: &[OwnedFd]) -> Result<Option<u32>, LoadError> {
        let Some(group) = (0..STEER_GROUPS).find(|group| !self.groups.contains_key(group)) else { return Ok(None) };
        let Some(first) = sockets.first() else { return Ok(None) };
        let mut workers: SockMap<_> = self.map("WORKER_SOCKETS")?.try_into()?;
        for (worker, socket) in (0..STEER_WORKERS).zip(sockets) {
            workers.set(group * STEER_WORKERS + worker, socket, 0)?;
        }
        let key = Bind { address: abi::Address::from(bind.ip()), port: u32::from(bind.port()) };
        let mut binds: HashMap<_, Bind, u32> = self.map("BINDS")?.try_into()?;
        binds.insert(key, group, 0)?;
        let choose: &mut SkReuseport = self.ebpf.program_mut("choose").ok_or(ProgramError::NotLoaded)?.try_into()?;
        choose.attach(first)?;
        self.groups.insert(group, key);
        Ok(Some(group))
    }

    /// The sockets of a group are closed, or soon will be: nothing is steered to them any more.
    pub fn remove(&mut self, group: u32) -> Result<(), MapError> {
        let Some(bind) = self.groups.remove(&group) else { return Ok(()) };
        let mut binds: HashMap<_, Bind, u32> = self.map("BINDS")?.try_into()?;
        // Another group may be bound so meanwhile.
        if binds.get(&bind, 0).is_ok_and(|owner| owner == group) {
            binds.remove(&bind)?;
        }
        let mut workers: SockMap<_> = self.map("WORKER_SOCKETS")?.try_into()?;
        for worker in 0..STEER_WORKERS {
            // Gone already where the socket is closed.
            let _gone = workers.clear_index(&(group * STEER_WORKERS + worker));
        }
        Ok(())
    }

    /// A service's connections go to this group, or to none.
    pub fn point(&mut self, service: u32, group: Option<u32>) -> Result<(), MapError> {
        self.array("SERVICE_GROUPS")?.set(service, group.map_or(0, |group| group + 1), 0)
    }

    /// What was steered so far.
    pub fn counts(&self) -> Result<Vec<(SteerCount, u64)>, MapError> {
        sums(&self.ebpf.map(COUNTERS).ok_or_else(|| MapError::InvalidName { name: COUNTERS.to_owned() })?.try_into()?)
    }

    fn array(&mut self, name: &'static str) -> Result<Array<&mut MapData, u32>, MapError> {
        self.map(name)?.try_into()
    }

    fn map(&mut self, name: &'static str) -> Result<&mut Map, MapError> {
        self.ebpf.map_mut(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
    }
}

/// The same of a process that may be another; nothing where none steers.
pub fn steered(folder: &Folder) -> Result<Vec<(SteerCount, u64)>, MapError> {
    let path = folder.map(COUNTERS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    sums(&Map::PerCpuArray(MapData::from_pin(path)?).try_into()?)
}

fn sums<M: Borrow<MapData>>(counters: &PerCpuArray<M, u64>) -> Result<Vec<(SteerCount, u64)>, MapError> {
    SteerCount::ALL.into_iter().map(|what| Ok((what, counters.get(&(what as u32), 0)?.iter().sum()))).collect()
}

/// Who holds more than 1.25 times the mean of these counts?
pub fn full(held: &[u64]) -> Vec<bool> {
    let total: u64 = held.iter().sum();
    let count = u64::try_from(held.len()).unwrap_or(u64::MAX);
    held.iter().map(|held| held.saturating_mul(count).saturating_mul(4) > total.saturating_mul(5)).collect()
}

#[cfg(test)]
mod tests {
    use super::full;

    #[test]
    fn who_holds_more_than_a_part() {
        for (held, expect) in [
            (&[][..], &[][..]),
            (&[7], &[false]),
            (&[0, 0], &[false, false]),
            (&[10, 10], &[false, false]),
            (&[125, 75], &[false, false]),
            (&[126, 74], &[true, false]),
            (&[1, 0], &[true, false]),
            (&[10, 10, 10, 30], &[false, false, false, true]),
        ] {
            assert_eq!(full(held), expect, "{held:?}");
        }
    }
}
