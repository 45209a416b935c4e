//! Idle upstream connections of one endpoint, on one worker; and the place where workers lend them to each other.
//!
//! Each worker keeps its idle connections armed, so that a close is seen without a system call, and takes the one used last. Beyond one, the
//! surplus goes to the [`Lending`] place when that is empty: disarmed and without a task, where any worker takes it that has none of its own.
//! Nobody is woken for it. So two workers need hardly more sockets than one.

use crossbeam::queue::ArrayQueue;
use io::{AtRest, Ring, Signal};
use model::Instant;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::Conn;

/// Connections of an endpoint that may lie in the lending place.
const LENT_MAX: usize = 64;
/// Idle connections that a worker keeps of one endpoint.
const IDLE_MAX: usize = 1024;

/// What all workers share of one endpoint: its open connections' count, and those at rest. Relaxed atomics: exact only near the limit.
#[derive(Debug)]
pub struct Lending {
    rests: ArrayQueue<Rest>,
    open: AtomicU32,
}

/// One of those, and since when it has been idle.
#[derive(Debug)]
struct Rest {
    rest: AtRest,
    since: Instant,
}

impl Default for Lending {
    fn default() -> Self {
        Self { rests: ArrayQueue::new(LENT_MAX), open: AtomicU32::new(0) }
    }
}

impl Lending {
    /// Connections open to the endpoint, over all workers.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

/// The idle connections of one endpoint on one worker.
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
    lending: Arc<Lending>,
    alone: bool,
    lending_now: Cell<bool>,
    retired: Cell<bool>,
    freed: Signal,
    traffic: Cell<Traffic>,
    opened_here: Cell<i64>,
}

/// What has come and gone in a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Idle connections put where other workers can take them.
    pub lent: u64,
    /// Idle connections taken from there.
    pub taken: u64,
    /// Those closed because that place was full.
    pub lending_full: u64,
    /// Those closed because as many idle ones are kept here as may be.
    pub idle_full: u64,
}

struct Idle {
    conn: Rc<Conn>,
    since: Instant,
}

/// A connection that was taken from the pool, or the permission to open one.
pub enum Taken {
    /// It has served before.
    Reused(Rc<Conn>),
    /// None is idle: connect, and tell [`Pool::opened`].
    Connect,
    /// None is idle, and the endpoint has as many connections as it may.
    Full,
}

impl Pool {
    /// A pool beside others of the same endpoint on other workers (`alone`: there are none).
    pub fn new(lending: Arc<Lending>, alone: bool) -> Rc<Self> {
        Rc::new(Self {
            idle: RefCell::default(),
            lending,
            alone,
            lending_now: Cell::new(false),
            retired: Cell::new(false),
            freed: Signal::default(),
            traffic: Cell::default(),
            opened_here: Cell::new(0),
        })
    }

    /// What the workers share of the endpoint.
    pub fn lending(&self) -> &Arc<Lending> {
        &self.lending
    }

    /// What has come and gone here since this was last asked.
    pub fn traffic(&self) -> Traffic {
        self.traffic.take()
    }

    fn count(&self, count: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.traffic.get();
        count(&mut traffic);
        self.traffic.set(traffic);
    }

    /// Connections opened here less those closed here. Since one may be opened by one worker and closed by another this may be negative; the sum
    /// over all workers is what is open.
    pub fn opened_here(&self) -> i64 {
        self.opened_here.get()
    }

    /// Idle connections here.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// An idle connection, the one used last, or what to do without.
    pub fn take(&self, ring: &Ring, settings: h1::Settings, limit: Option<u32>) -> Taken {
        while let Some(idle) = self.idle.borrow_mut().pop() {
            if idle.conn.is_quiet() {
                return Taken::Reused(idle.conn);
            }
            self.closed();
        }
        while let Some(Rest { rest, .. }) = self.lending.rests.pop() {
            if let Some(stream) = ring.adopt(rest) {
                self.count(|traffic| traffic.taken += 1);
                return Taken::Reused(Conn::client(stream, settings));
            }
            self.closed();
        }
        if limit.is_some_and(|limit| self.lending.open() >= limit) { Taken::Full } else { Taken::Connect }
    }

    /// A connection is being opened: counted until [`Pool::closed`].
    pub fn opened(&self) {
        self.opened_here.set(self.opened_here.get() + 1);
        self.lending.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.opened_here.set(self.opened_here.get() - 1);
        self.lending.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until a connection was given back or closed on this worker. Look again then: others may have been quicker.
    pub async fn freed(&self, ring: &Ring) {
        self.freed.wait(ring).await;
    }

    /// Gives a connection back that can serve another request; one that cannot is closed.
    pub fn give(self: &Rc<Self>, conn: Rc<Conn>, now: Instant) {
        let ring = conn.stream().ring().clone();
        self.freed.notify(&ring);
        if !conn.can_reuse() || self.retired.get() {
            self.closed();
            return;
        }
        if self.idle.borrow().len() >= IDLE_MAX {
            self.count(|traffic| traffic.idle_full += 1);
            self.closed();
            return;
        }
        conn.stream().arm();
        self.idle.borrow_mut().push(Idle { conn, since: now });
        if !self.alone && self.idle.borrow().len() > 1 && self.lending.rests.is_empty() && !self.lending_now.replace(true) {
            let pool = Rc::clone(self);
            ring.spawn(async move { pool.lend().await });
        }
    }

    /// Lends the connection that has been idle longest.
    async fn lend(&self) {
        let surplus = {
            let mut idle = self.idle.borrow_mut();
            if idle.len() > 1 { Some(idle.remove(0)) } else { None }
        };
        if let Some(Idle { conn, since }) = surplus {
            match conn.rest().await.map(|rest| self.lending.rests.push(Rest { rest, since })) {
                Some(Ok(())) => self.count(|traffic| traffic.lent += 1),
                Some(Err(_full)) => {
                    self.count(|traffic| traffic.lending_full += 1);
                    self.closed();
                }
                None => self.closed(),
            }
        }
        self.lending_now.set(false);
    }

    /// Closes what its peer has closed, and what has been idle for longer than `idle`: here, and of what is lent.
    pub fn sweep(&self, ring: &Ring, idle: Option<Duration>) {
        let now = ring.now();
        let is_fresh = |since| idle.is_none_or(|idle| now.since(since) < idle);
        for _ in 0..self.lending.rests.len() {
            let Some(rest) = self.lending.rests.pop() else { break };
            let keep = ring.is_quiet(&rest.rest) && is_fresh(rest.since);
            if !keep || self.lending.rests.push(rest).is_err() {
                self.closed();
            }
        }
        self.idle.borrow_mut().retain(|entry| {
            let keep = entry.conn.is_quiet() && is_fresh(entry.since);
            if !keep {
                self.closed();
            }
            keep
        });
    }

    /// Keeps nothing any more: the endpoint is gone, or the worker ends. What is under way closes its connection when it has ended.
    pub fn retire(&self) {
        self.retired.set(true);
        for _ in self.idle.borrow_mut().drain(..) {
            self.closed();
        }
    }
}
