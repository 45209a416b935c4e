//! The proxy under test: the shipped workers on simulated rings, started, changed and drained the way the control side does it.

use core::time::Duration;
use std::{collections::BTreeSet, path::Path, rc::Rc, sync::Arc};

use config::{Name, Snapshot};
use io::{
    Ring,
    sim::{Host, Sim, World},
};
use model::Address;
use proxy::{HouseOptions, Shared};
use stats::{LinesReader, Reader};
use worker::{Change, Worker};

/// Some workers of one simulated host.
pub struct Proxy {
    /// Where it runs.
    pub host: Host,
    /// One for each worker.
    pub rings: Vec<Ring>,
    /// The shipped ones.
    pub workers: Vec<Rc<Worker>>,
    world: World,
    snapshot: Arc<Snapshot>,
    open: BTreeSet<(Name, Address)>,
    /// What the workers count.
    pub stats: Reader,
    _log: Vec<LinesReader>,
}

impl Proxy {
    /// `count` workers, listening as the configuration says.
    pub fn start(world: &World, count: u32, seed: u64, text: &str) -> Result<Self, String> {
        let host = world.host("proxy");
        let snapshot = Arc::new(compiled(text, None)?);
        let (hub, stats) = stats::stats();
        let shared = Arc::new(Shared::default());
        let (mut rings, mut workers, mut log) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let ring = Ring::sim(Sim::new(world, host));
            let (lines, reader) = stats::lines();
            let options = HouseOptions {
                snapshot: Arc::clone(&snapshot),
                page: hub.page(),
                shared: Arc::clone(&shared),
                worker: (number, count),
                seed: seed + u64::from(number),
                lines,
            };
            workers.push(Worker::new(ring.clone(), options));
            rings.push(ring);
            log.push(reader);
        }
        let mut proxy = Self { host, rings, workers, world: world.clone(), snapshot, open: BTreeSet::new(), stats, _log: log };
        proxy.commit()?;
        Ok(proxy)
    }

    /// Takes another configuration on all workers.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        self.snapshot = Arc::new(compiled(text, Some(&self.snapshot))?);
        self.commit()
    }

    fn commit(&mut self) -> Result<(), String> {
        let listeners = self.snapshot.listeners.values();
        let wanted: BTreeSet<(Name, Address)> =
            listeners.flat_map(|listener| listener.binds.iter().map(|bind| (Name::clone(&listener.name), bind.clone()))).collect();
        let closed: Vec<_> = self.open.difference(&wanted).cloned().collect();
        for worker in &self.workers {
            let mut opened = Vec::new();
            for (name, address) in wanted.difference(&self.open) {
                let descriptor = self.world.listen(self.host, address.clone()).map_err(|errno| errno.to_string())?;
                opened.push((Name::clone(name), address.clone(), descriptor));
            }
            drop(worker.take(Change { snapshot: Arc::clone(&self.snapshot), opened, closed: closed.clone() }));
        }
        self.open = wanted;
        Ok(())
    }

    /// What each turn of a worker's loop ends with.
    pub fn end_turn(&self) {
        self.workers.iter().for_each(|worker| worker.house().end_turn());
    }

    /// Lets all workers drain.
    pub fn drain(&self, timeout: Duration) {
        self.workers.iter().for_each(|worker| worker.drain(worker.house().ring().now() + timeout));
    }

    /// Whether all workers have drained.
    pub fn is_drained(&self) -> bool {
        self.workers.iter().all(|worker| worker.is_drained())
    }
}

fn compiled(text: &str, previous: Option<&Snapshot>) -> Result<Snapshot, String> {
    let told = |rejections: Vec<config::Rejection>| rejections.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let loaded = config::load_text(Path::new("sim.yaml"), text).map_err(told)?;
    config::compile(&loaded, previous).map_err(told)
}
