//! Whether endpoints are well. Every endpoint of a cluster with `health:` is asked by one worker, which tells all others by one atomic; what to
//! ask is [`crate::probe`]'s, when an answer counts is [`balance::Judge`]'s.
//!
//! Only clusters that a listener sends to are asked here: those of VIPs are the kernel layer's. Nothing here ever ends what is under way.

use balance::{Judge, Standing, together};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    hash::{Hash as _, Hasher as _},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};
use io::Timer;
use model::Address;
use stats::{Counter, Gauge, metrics};
use std::{
    collections::{HashMap, HashSet},
    hash::DefaultHasher,
    rc::Rc,
    sync::Arc,
};

use config::{Action, ClusterSlot, HealthCheck, Kind, Name, Snapshot};

use crate::{House, probe};

/// The first looks at all endpoints are spread over this long, or an interval when that is shorter.
const SPREAD: Duration = Duration::from_millis(200);

/// What all workers know of an endpoint.
#[derive(Debug, Default)]
pub struct Health {
    /// 0: nobody has looked yet; 1: up; 2: down.
    standing: AtomicU8,
}

impl Health {
    /// What is held of it now.
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            0 => Standing::Unknown,
            1 => Standing::Up,
            _ => Standing::Down,
        }
    }

    fn set(&self, standing: Standing) {
        let number = match standing {
            Standing::Unknown => 0,
            Standing::Up => 1,
            Standing::Down => 2,
        };
        self.standing.store(number, Ordering::Relaxed);
    }
}

/// The endpoints that this worker asks.
#[derive(Default)]
pub(crate) struct Patients {
    by_place: RefCell<HashMap<(Name, Address), Rc<Patient>>>,
}

/// One of them.
struct Patient {
    cluster: Name,
    name: Name,
    slot: ClusterSlot,
    address: Address,
    checks: Vec<HealthCheck>,
    judges: RefCell<Vec<Judge>>,
    health: Arc<Health>,
    /// It left the configuration, or is asked otherwise now.
    gone: Cell<bool>,
    up: Gauge,
    changes: Counter,
}

/// Begins to ask whom the configuration in force names, and ends with whom it does not any more. What was known of who stays is kept.
pub(crate) fn follow(house: &Rc<House>, snapshot: &Snapshot) {
    let mut patients = house.patients().by_place.borrow_mut();
    let mut wanted = HashSet::new();
    if snapshot.clusters().any(|cluster| !cluster.health.is_empty()) {
        let used = used(snapshot);
        for cluster in snapshot.clusters().filter(|cluster| !cluster.health.is_empty() && used.contains(&cluster.slot)) {
            for endpoint in &cluster.endpoints {
                if !is_ours(house, &cluster.name, endpoint) {
                    continue;
                }
                let place = (Arc::clone(&cluster.name), endpoint.address.clone());
                let stays = patients.get(&place).is_some_and(|old| old.slot == cluster.slot && old.checks == cluster.health);
                if !stays {
                    let patient = Rc::new(Patient::new(house, cluster, endpoint));
                    (0..patient.checks.len()).for_each(|check| watch(house, &patient, check));
                    if let Some(old) = patients.insert(place.clone(), patient) {
                        old.gone.set(true);
                    }
                }
                wanted.insert(place);
            }
        }
    }
    patients.retain(|place, patient| {
        let stays = wanted.contains(place);
        if !stays {
            patient.gone.set(true);
            patient.up.set(0);
        }
        stays
    });
    house.ring().wake_all();
}

/// The clusters that listeners send to.
fn used(snapshot: &Snapshot) -> HashSet<ClusterSlot> {
    let mut used = HashSet::new();
    for listener in snapshot.listeners.values() {
        used.extend(listener.passthrough.rules().iter().flat_map(|rule| rule.to.targets()).map(|target| target.slot));
        match &listener.kind {
            Kind::Passthrough => {}
            Kind::Tcp(tcp) => used.extend(tcp.to.targets().iter().map(|target| target.slot)),
            Kind::Http(http) => {
                for route in &http.routes {
                    if let Action::Forward(targets) = &route.action {
                        used.extend(targets.targets().iter().map(|target| target.slot));
                    }
                }
            }
        }
    }
    used
}

/// Each endpoint is one worker's, the same whatever else changes.
fn is_ours(house: &House, cluster: &Name, endpoint: &config::Endpoint) -> bool {
    let (worker, workers) = house.place();
    let mut hasher = DefaultHasher::new();
    (cluster, &endpoint.name).hash(&mut hasher);
    hasher.finish() % u64::from(workers.max(1)) == u64::from(worker)
}

/// The task of one check of one endpoint.
fn watch(house: &Rc<House>, patient: &Rc<Patient>, check: usize) {
    let (house, patient) = (Rc::clone(house), Rc::clone(patient));
    house.ring().clone().spawn(async move {
        let timer = house.ring().timer();
        let interval = patient.checks[check].interval;
        let mut wait = SPREAD.min(interval).mul_f64(fraction(&house));
        while patient.pause(&house, &timer, wait).await && patient.examine(&house, check).await {
            wait = jittered(interval, patient.checks[check].jitter_percent, fraction(&house));
        }
    });
}

/// From 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "it is for spreading times")]
fn fraction(house: &House) -> f64 {
    house.random() as f64 / u64::MAX as f64
}

/// An interval, up to `percent` shorter or longer.
fn jittered(interval: Duration, percent: u32, fraction: f64) -> Duration {
    interval.mul_f64(1.0 + f64::from(percent) / 100.0 * (2.0 * fraction - 1.0))
}

impl Patient {
    fn new(house: &House, cluster: &config::Cluster, endpoint: &config::Endpoint) -> Self {
        let labels = [("cluster", &*cluster.name), ("endpoint", &*endpoint.name)];
        let patient = Self {
            cluster: Arc::clone(&cluster.name),
            name: Arc::clone(&endpoint.name),
            slot: cluster.slot,
            address: endpoint.address.clone(),
            judges: RefCell::new(cluster.health.iter().map(|check| Judge::new(check.rise, check.fall)).collect()),
            checks: cluster.health.clone(),
            health: house.shared().health(&cluster.name, &endpoint.address),
            gone: Cell::new(false),
            up: house.page().gauge(&metrics::UPSTREAM_UP, &labels),
            changes: house.page().counter(&metrics::HEALTH_CHANGES, &labels),
        };
        patient.show();
        patient
    }

    /// Waits; whether it is still to be asked.
    async fn pause(&self, house: &House, timer: &Timer, wait: Duration) -> bool {
        timer.set(house.ring().now() + wait);
        poll_fn(|_| if self.gone.get() { core::task::Poll::Ready(()) } else { timer.poll_expired() }).await;
        !self.gone.get()
    }

    /// Looks once and says what came of it; whether it is still to be asked.
    async fn examine(&self, house: &House, check: usize) -> bool {
        let Some(cluster) = house.cluster(self.slot) else { return false };
        let Some(endpoint) = cluster.endpoints().iter().find(|endpoint| endpoint.config.address == self.address) else { return false };
        let found = probe::look(house, &cluster, endpoint, &self.checks[check]).await;
        if self.gone.get() {
            return false;
        }
        let result = found.map_or_else(probe::Illness::reason, |()| "good");
        let labels = [("cluster", &*self.cluster), ("endpoint", &*self.name), ("result", result)];
        house.page().counter(&metrics::HEALTH_CHECKS, &labels).increment();
        let mut judges = self.judges.borrow_mut();
        judges[check].look(found.is_ok());
        let standing = together(judges.iter().map(Judge::standing));
        // While some checks have not looked yet, what was known before them holds.
        if standing != Standing::Unknown && standing != self.health.standing() {
            self.turn(house, standing, found);
        }
        true
    }

    fn turn(&self, house: &House, standing: Standing, found: Result<(), probe::Illness>) {
        let was_unknown = self.health.standing() == Standing::Unknown;
        self.health.set(standing);
        self.show();
        let Self { cluster, name, .. } = self;
        match found {
            Err(illness) => house.shared().tell(format!("cluster {cluster}: endpoint {name} is down: {illness}")),
            // That an endpoint is well to begin with is no news.
            Ok(()) if was_unknown => return,
            Ok(()) => house.shared().tell(format!("cluster {cluster}: endpoint {name} is up")),
        }
        self.changes.increment();
    }

    fn show(&self) {
        self.up.set(i64::from(self.health.standing() == Standing::Up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_goes_both_ways() {
        let second = Duration::from_secs(1);
        for (percent, fraction, expect) in [(0, 0.9, 1_000), (10, 0.0, 900), (10, 0.5, 1_000), (50, 1.0, 1_500)] {
            assert_eq!(jittered(second, percent, fraction).as_millis(), expect, "{percent} {fraction}");
        }
    }
}
