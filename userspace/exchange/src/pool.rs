//! Idle upstream connections of one endpoint, on one worker; and the place where workers lend them to each other.
//!
//! Each worker keeps its idle connections armed, so that a close is seen without a system call, and takes the one used last. Beyond one, the
//! surplus goes to the [`Lending`] place when that is empty: disarmed and without a task, where any worker takes it that has none of its own.
//! Nobody is woken for it. So two workers need hardly more sockets than one.
//!
//! A connection that carries many exchanges stays with its worker and is shared by all who ask while it takes more; it has a task here that
//! drives it to its end.

use crossbeam::queue::ArrayQueue;
use io::{AtRest, Ring, Signal};
use model::Instant;
use stats::Gauge;
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{Arrival, Conn, Settings};

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
    shared: RefCell<Vec<Shared>>,
    /// The last connection that was opened carries many: so will the next.
    shares: Cell<bool>,
    /// Such a one is being opened.
    opening: Cell<bool>,
    lending: Arc<Lending>,
    alone: bool,
    lending_now: Cell<bool>,
    retired: Cell<bool>,
    freed: Signal,
    traffic: Cell<Traffic>,
    /// Connections opened here less those closed here: since one may be opened by one worker and closed by another this may be negative, and only
    /// the sum over all workers is what is open. Others count in it too, for it outlives the endpoint.
    active: Gauge,
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

/// A connection that carries many.
struct Shared {
    conn: Rc<Conn>,
    /// Since when it has carried none, as far as was seen.
    idle_since: Option<Instant>,
}

/// A connection that was taken from the pool, or the permission to open one.
pub enum Taken {
    /// It has served before.
    Reused(Rc<Conn>),
    /// None is idle: connect, and tell [`Pool::opened`].
    Connect,
    /// None is idle, and the endpoint has as many connections as it may: wait until one is [freed](Pool::freed).
    Full,
    /// None takes more, and one that will carry many is being opened: wait likewise.
    Opening,
}

impl Pool {
    /// A pool beside others of the same endpoint on other workers (`alone`: there are none). What is open is counted in `active`.
    pub fn new(lending: Arc<Lending>, alone: bool, active: Gauge) -> Rc<Self> {
        Rc::new(Self {
            idle: RefCell::default(),
            shared: RefCell::default(),
            shares: Cell::new(false),
            opening: Cell::new(false),
            lending,
            alone,
            lending_now: Cell::new(false),
            retired: Cell::new(false),
            freed: Signal::default(),
            traffic: Cell::default(),
            active,
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

    /// Idle connections here.
    pub fn idle(&self) -> usize {
        let shared = self.shared.borrow().iter().filter(|shared| shared.conn.under_way() == 0).count();
        self.idle.borrow().len() + shared
    }

    /// An idle connection, the one used last, or one that takes another exchange; or what to do without.
    pub fn take(&self, ring: &Ring, settings: &Settings, limit: Option<u32>) -> Taken {
        if let Some(shared) = self.shared.borrow().iter().find(|shared| shared.conn.capacity() > 0) {
            return Taken::Reused(Rc::clone(&shared.conn));
        }
        while let Some(idle) = self.idle.borrow_mut().pop() {
            if idle.conn.is_quiet() {
                return Taken::Reused(idle.conn);
            }
            self.closed();
        }
        while let Some(Rest { rest, .. }) = self.lending.rests.pop() {
            if let Some(stream) = ring.adopt(rest) {
                self.count(|traffic| traffic.taken += 1);
                return Taken::Reused(Conn::client(stream.into(), settings));
            }
            self.closed();
        }
        if self.opening.get() {
            return Taken::Opening;
        }
        let full = limit.is_some_and(|limit| self.lending.open() >= limit);
        if full { Taken::Full } else { Taken::Connect }
    }

    /// A connection that is likely to carry many is being opened, until the guard is dropped: others wait for it.
    pub fn opening(self: &Rc<Self>, ring: &Ring, many: bool) -> Opening {
        let waited_for = (many || self.shares.get()) && !self.opening.get();
        if waited_for {
            self.opening.set(true);
        }
        Opening { pool: Rc::clone(self), ring: ring.clone(), waited_for }
    }

    /// A connection is being opened: counted until [`Pool::closed`].
    pub fn opened(&self) {
        self.active.increment();
        self.lending.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.active.decrement();
        self.lending.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until a connection was given back or closed on this worker. Look again then: others may have been quicker.
    pub async fn freed(&self, ring: &Ring) {
        self.freed.wait(ring).await;
    }

    /// Takes in a connection that carries many, and drives it to its end.
    pub fn share(self: &Rc<Self>, conn: &Rc<Conn>) {
        self.shares.set(true);
        self.shared.borrow_mut().push(Shared { conn: Rc::clone(conn), idle_since: None });
        let (pool, conn) = (Rc::clone(self), Rc::clone(conn));
        let ring = conn.transport().ring().clone();
        ring.clone().spawn(async move {
            while !matches!(poll_fn(|_| conn.poll_arrival()).await, Arrival::Over(_)) {
                pool.freed.notify(&ring);
            }
            pool.shared.borrow_mut().retain(|shared| !Rc::ptr_eq(&shared.conn, &conn));
            pool.closed();
            pool.freed.notify(&ring);
        });
    }

    /// An exchange on the connection is over; `complete`: in both directions, so that the connection may serve another.
    pub fn give(self: &Rc<Self>, conn: Rc<Conn>, complete: bool, now: Instant) {
        let ring = conn.transport().ring().clone();
        self.freed.notify(&ring);
        if conn.is_multiplexed() {
            return;
        }
        if !complete {
            conn.abandon();
            return self.closed();
        }
        if !conn.can_reuse() || self.retired.get() {
            self.closed();
            return;
        }
        if self.idle.borrow().len() >= IDLE_MAX {
            self.count(|traffic| traffic.idle_full += 1);
            self.closed();
            return;
        }
        conn.transport().arm();
        let can_rest = conn.transport().can_rest();
        self.idle.borrow_mut().push(Idle { conn, since: now });
        if !self.alone && can_rest && self.idle.borrow().len() > 1 && self.lending.rests.is_empty() && !self.lending_now.replace(true) {
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
            // (Retired meanwhile: then it is closed.)
            let rest = conn.rest().await.filter(|_| !self.retired.get());
            match rest.map(|rest| self.lending.rests.push(Rest { rest, since })) {
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
        for shared in &mut *self.shared.borrow_mut() {
            shared.idle_since = if shared.conn.under_way() > 0 { None } else { shared.idle_since.or(Some(now)) };
            match shared.idle_since {
                Some(since) if !is_fresh(since) => shared.conn.leave(true),
                Some(since) if since == now => shared.conn.shrink(),
                Some(_) | None => {}
            }
        }
    }

    /// Keeps nothing any more: the endpoint is gone, or the worker ends. What is under way closes its connection when it has ended.
    pub fn retire(&self) {
        self.retired.set(true);
        for _ in self.idle.borrow_mut().drain(..) {
            self.closed();
        }
        // (Of what is lent the last worker to hear of it leaves none; the others open anew until then.)
        while self.lending.rests.pop().is_some() {
            self.closed();
        }
        self.shared.borrow().iter().for_each(|shared| shared.conn.leave(true));
    }
}

/// A connection that is being opened.
pub struct Opening {
    pool: Rc<Pool>,
    ring: Ring,
    /// Others wait for it.
    waited_for: bool,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if self.waited_for {
            self.pool.opening.set(false);
            self.pool.freed.notify(&self.ring);
        }
    }
}
