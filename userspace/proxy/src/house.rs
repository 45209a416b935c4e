//! What the rooms may touch of the worker they are in.

use core::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};
use io::{Redirect, Ring, Timer};
use model::{Address, Cause, Head, Instant, Record};
use stats::{Counter, LinesWriter, Page, metrics};
use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::{Arc, atomic::AtomicU32},
};

use config::{ClusterSlot, Snapshot};
use exchange::Lending;

use crate::{
    Cluster, Health, Listener,
    health::{self, Patients},
    log::Log,
    route::{RouteCounters, Routes},
};

/// Handshakes begun in one turn of the worker's loop; the others wait for the next.
const HANDSHAKES_A_TURN_MAX: u32 = 8;
/// Lines for the process's log that wait to be written.
const NOTICES_MAX: usize = 256;

/// One worker's share of the proxy. Everything in it belongs to the worker's thread, except [`Shared`].
pub struct House {
    ring: Ring,
    snapshot: RefCell<Arc<Snapshot>>,
    clusters: RefCell<Vec<Option<Rc<Cluster>>>>,
    listeners: RefCell<HashMap<config::Name, Rc<Listener>>>,
    pub(crate) routes: Routes,
    /// Counts requests that have no route.
    routeless: RefCell<HashMap<Rc<str>, Rc<RouteCounters>>>,
    page: Page,
    faults: Vec<Counter>,
    random: RefCell<fastrand::Rng>,
    shared: Arc<Shared>,
    patients: Patients,
    workers: u32,
    draining: Cell<Option<Instant>>,
    /// The turn in which a handshake was last begun, and how many were in it.
    handshakes: Cell<(u64, u32)>,
    connections: Cell<u64>,
    worker: u32,
    log: RefCell<Option<Log>>,
    lines: RefCell<LinesWriter>,
}

/// What a worker is given when it starts.
pub struct HouseOptions {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// Its counters.
    pub page: Page,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Which one it is, from 0, and of how many.
    pub worker: (u32, u32),
    /// Where its randomness begins.
    pub seed: u64,
    /// Where its access log lines go.
    pub lines: stats::Lines,
}

/// The few things workers share: relaxed atomics, found by name when a configuration is taken, never on a request's way.
#[derive(Default)]
#[expect(clippy::disallowed_types, reason = "taken when a cluster or listener is first used on a worker, never while a request waits")]
pub struct Shared {
    lendings: std::sync::Mutex<HashMap<(config::Name, Address), Arc<Lending>>>,
    connections: std::sync::Mutex<HashMap<config::Name, Arc<AtomicU32>>>,
    healths: std::sync::Mutex<HashMap<(config::Name, Address), Arc<Health>>>,
    notices: std::sync::Mutex<VecDeque<String>>,
    redirects: std::sync::Mutex<Vec<Box<dyn Redirect + Send>>>,
}

impl Shared {
    /// What workers share of a cluster's endpoint.
    pub fn lending(&self, cluster: &config::Name, address: &Address) -> Arc<Lending> {
        let mut lendings = self.lendings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(lendings.entry((Arc::clone(cluster), address.clone())).or_default())
    }

    /// Open connections of a listener.
    pub fn connections(&self, listener: &config::Name) -> Arc<AtomicU32> {
        let mut connections = self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(connections.entry(Arc::clone(listener)).or_default())
    }

    /// What workers know of the health of a cluster's endpoint.
    pub fn health(&self, cluster: &config::Name, address: &Address) -> Arc<Health> {
        let mut healths = self.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(healths.entry((Arc::clone(cluster), address.clone())).or_default())
    }

    /// Means to join sockets in the kernel, one for each worker, which takes its own with the next configuration.
    pub fn offer_redirects(&self, redirects: Vec<Box<dyn Redirect + Send>>) {
        *self.redirects.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = redirects;
    }

    fn redirect(&self) -> Option<Box<dyn Redirect + Send>> {
        self.redirects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
    }

    /// Leaves a line for the process's log; the oldest goes when there are too many.
    pub(crate) fn tell(&self, notice: String) {
        let mut notices = self.notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if notices.len() >= NOTICES_MAX {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    /// The oldest line for the process's log.
    pub fn notice(&self) -> Option<String> {
        self.notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
    }

    /// Forgets what only this table still holds.
    fn tidy(&self) {
        self.lendings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|_, lending| Arc::strong_count(lending) > 1);
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|_, count| Arc::strong_count(count) > 1);
        self.healths.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|_, health| Arc::strong_count(health) > 1);
    }
}

impl House {
    /// A worker's house on its ring.
    pub fn new(ring: Ring, options: HouseOptions) -> Rc<Self> {
        let HouseOptions { snapshot, page, shared, worker: (worker, workers), seed, lines } = options;
        let faults = Cause::ALL.iter().map(|cause| page.counter(&metrics::FAULTS, &[("reason", cause.reason())])).collect();
        let log = Log::new(&snapshot);
        let dropped = page.counter(&metrics::LOG_DROPPED, &[("worker", &worker.to_string())]);
        Rc::new(Self {
            ring,
            snapshot: RefCell::new(snapshot),
            clusters: RefCell::default(),
            listeners: RefCell::default(),
            routes: Routes::default(),
            routeless: RefCell::default(),
            page,
            faults,
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            shared,
            patients: Patients::default(),
            workers,
            draining: Cell::new(None),
            handshakes: Cell::new((0, 0)),
            connections: Cell::new(0),
            worker,
            log: RefCell::new(log),
            lines: RefCell::new(lines.writer(dropped)),
        })
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Its number.
    pub(crate) fn generation(&self) -> u64 {
        self.snapshot.borrow().generation
    }

    /// Takes a configuration; what is under way keeps what it began with. Gives the old one back, to be freed where freeing takes time.
    pub fn take(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let old = self.snapshot.replace(snapshot);
        let new = self.snapshot.borrow();
        if let Some(redirect) = self.shared.redirect() {
            self.ring.set_redirect(redirect);
        }
        *self.log.borrow_mut() = Log::new(&new);
        for (name, listener) in &*self.listeners.borrow() {
            listener.take(new.listeners.get(name).cloned(), self.ring.now());
        }
        self.clusters.borrow_mut().iter_mut().for_each(|slot| {
            if let Some(gone) = slot.take_if(|cluster| new.cluster(cluster.slot()).is_none()) {
                gone.retire(|_| true);
            }
        });
        self.routes.tidy(&new);
        self.shared.tidy();
        // Connections that wait look at their listener again.
        self.ring.wake_all();
        old
    }

    /// The live side of a listener, made when it is first asked for.
    pub fn listener(self: &Rc<Self>, config: &Arc<config::Listener>) -> Rc<Listener> {
        let mut listeners = self.listeners.borrow_mut();
        if let Some(listener) = listeners.get(&config.name) {
            listener.take(Some(Arc::clone(config)), self.ring.now());
            return Rc::clone(listener);
        }
        let listener = Listener::new(Arc::clone(config), &self.page, self.shared.connections(&config.name));
        listeners.insert(Arc::clone(&config.name), Rc::clone(&listener));
        listener
    }

    /// The live side of a cluster, made when it is first used and made anew when its configuration has changed.
    pub(crate) fn cluster(&self, slot: ClusterSlot) -> Option<Rc<Cluster>> {
        let snapshot = self.snapshot.borrow();
        let config = snapshot.cluster(slot)?;
        let mut clusters = self.clusters.borrow_mut();
        let index = slot.index as usize;
        if clusters.len() <= index {
            clusters.resize(snapshot.cluster_slots().max(index + 1), None);
        }
        if let Some(cluster) = &clusters[index]
            && cluster.is(config)
        {
            return Some(Rc::clone(cluster));
        }
        let previous = clusters[index].take().filter(|cluster| cluster.slot() == slot);
        let cluster = Rc::new(Cluster::new(Arc::clone(config), previous.as_deref(), self));
        clusters[index] = Some(Rc::clone(&cluster));
        Some(cluster)
    }

    /// Closes idle upstream connections whose peer or time has ended.
    pub fn sweep(&self) {
        for cluster in self.clusters.borrow().iter().flatten() {
            cluster.sweep(&self.ring);
        }
    }

    /// The live clusters.
    pub fn clusters(&self) -> Vec<Rc<Cluster>> {
        self.clusters.borrow().iter().flatten().cloned().collect()
    }

    /// From now on every response is its connection's last; who is still there at `until` is cut.
    pub fn drain(&self, until: Instant) {
        self.draining.set(Some(until));
        self.ring.wake_all();
    }

    /// When a drain ends, if there is one.
    pub fn draining(&self) -> Option<Instant> {
        self.draining.get()
    }

    /// When a connection of `listener` is to end at the latest, because the process drains or the listener was removed.
    pub(crate) fn ending(&self, listener: &Listener) -> Option<Instant> {
        match (self.draining.get(), listener.removed_until()) {
            (Some(drain), Some(removed)) => Some(drain.min(removed)),
            (drain, removed) => drain.or(removed),
        }
    }

    /// Waits for a place among the handshakes of a turn: they take so long that what is established would wait for them.
    pub(crate) async fn handshake_turn(&self) {
        loop {
            let turn = self.ring.counts().turns;
            let (last, begun) = self.handshakes.get();
            let begun = if last == turn { begun } else { 0 };
            if begun < HANDSHAKES_A_TURN_MAX {
                return self.handshakes.set((turn, begun + 1));
            }
            self.ring.yield_now().await;
        }
    }

    /// The counters of requests to `listener` that no route matched.
    pub(crate) fn routeless(&self, listener: &Rc<str>) -> Rc<RouteCounters> {
        let make = || Rc::new(RouteCounters::new("none", listener, &self.page));
        Rc::clone(self.routeless.borrow_mut().entry(Rc::clone(listener)).or_insert_with(make))
    }

    /// Awaits `future` until `at`, or until the end of a drain, which may begin meanwhile; `None` when the time came first.
    pub(crate) async fn within<T>(
        &self,
        (listener, timer): (&Listener, &Timer),
        at: Instant,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let ending = || self.ending(listener).unwrap_or(Instant::NEVER);
        let (mut future, mut armed) = (pin!(future), at.min(ending()));
        timer.set(armed);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            if ending() < armed {
                armed = ending();
                timer.set(armed);
            }
            timer.poll_expired().map(|()| None)
        })
        .await
    }

    /// Its counters.
    pub fn page(&self) -> &Page {
        &self.page
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether it is the only worker.
    pub(crate) fn alone(&self) -> bool {
        self.workers == 1
    }

    /// Which worker it is, from 0, and of how many.
    pub(crate) fn place(&self) -> (u32, u32) {
        (self.worker, self.workers)
    }

    pub(crate) fn patients(&self) -> &Patients {
        &self.patients
    }

    /// Asks the endpoints of the configuration in force how they are, those that are this worker's to ask.
    pub fn check_health(self: &Rc<Self>) {
        health::follow(self, &self.snapshot());
    }

    pub(crate) fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// A connection's number: unique in the process.
    pub(crate) fn connection_id(&self) -> u64 {
        self.connections.set(self.connections.get() + 1);
        u64::from(self.worker) << 48 | self.connections.get()
    }

    pub(crate) fn count_fault(&self, cause: Cause) {
        let at = Cause::ALL.iter().position(|known| *known == cause);
        if let Some(counter) = at.and_then(|at| self.faults.get(at)) {
            counter.increment();
        }
    }

    pub(crate) fn write_log(&self, record: &Record, head: Option<&Head>) {
        if let Some(log) = &*self.log.borrow() {
            self.lines.borrow_mut().line(|out| log.line(out, record, head, &self.ring));
        }
    }

    /// At the end of each turn: gives the turn's log lines to the control side.
    pub fn end_turn(&self) {
        self.lines.borrow_mut().flush();
    }
}
