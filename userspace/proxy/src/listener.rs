//! The live side of a listener on one worker.

use core::cell::{Cell, RefCell};
use exchange::Settings;
use model::{Instant, Scheme};
use stats::{Counter, Gauge, Page, metrics};
use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// A listener: its configuration of the moment, its counters, its open connections.
pub struct Listener {
    /// In an `Rc` of this worker's, so that a request's look at it writes to no cache line of another's.
    #[expect(clippy::redundant_allocation, reason = "the Arc is counted by all workers, the Rc by this one")]
    config: RefCell<Rc<Arc<config::Listener>>>,
    name: Rc<str>,
    /// When its connections are cut, once it was removed.
    removed_until: Cell<Option<Instant>>,
    /// What its connections are told.
    settings: RefCell<Rc<Settings>>,
    open: Arc<AtomicU32>,
    accepted: Counter,
    active: Gauge,
    refused: Counter,
    /// Full ones and resumed ones.
    handshakes: [Counter; 2],
    pub(crate) requests_active: Gauge,
    pub(crate) passed: Counter,
    pub(crate) cut: Counter,
}

impl Listener {
    pub(crate) fn new(config: Arc<config::Listener>, page: &Page, open: Arc<AtomicU32>) -> Rc<Self> {
        let name = [("listener", &*config.name)];
        Rc::new(Self {
            removed_until: Cell::new(None),
            settings: RefCell::new(settings(&config)),
            open,
            accepted: page.counter(&metrics::DOWNSTREAM_CONNECTIONS, &name),
            active: page.gauge(&metrics::DOWNSTREAM_ACTIVE, &name),
            refused: page.counter(&metrics::DOWNSTREAM_REFUSED, &[("listener", &*config.name), ("reason", "connection_limit")]),
            handshakes: ["full", "resumed"]
                .map(|kind| page.counter(&metrics::TLS_HANDSHAKES, &[("listener", &*config.name), ("kind", kind)])),
            requests_active: page.gauge(&metrics::REQUESTS_ACTIVE, &name),
            passed: page.counter(&metrics::DOWNSTREAM_PASSED, &name),
            cut: page.counter(&metrics::DRAIN_CLOSED, &name),
            name: Rc::from(&*config.name),
            config: RefCell::new(Rc::new(config)),
        })
    }

    /// Its configuration now; a removed listener keeps its last.
    pub fn config(&self) -> Rc<Arc<config::Listener>> {
        Rc::clone(&self.config.borrow())
    }

    /// What its connections are told, and those that requests from it go up on.
    pub(crate) fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Counts a limit that one of its connections has reached.
    pub(crate) fn count_limit(&self, limit: &str, page: &Page) {
        page.counter(&metrics::DOWNSTREAM_LIMITS, &[("listener", &*self.name), ("limit", limit)]).increment();
    }

    /// Counts a TLS handshake that is complete.
    pub(crate) fn count_handshake(&self, resumed: bool) {
        self.handshakes[usize::from(resumed)].increment();
    }

    /// Its name.
    pub fn name(&self) -> &Rc<str> {
        &self.name
    }

    /// Takes a new configuration; `None` removes it.
    pub(crate) fn take(&self, config: Option<Arc<config::Listener>>, now: Instant) {
        match config {
            Some(config) => {
                self.removed_until.set(None);
                self.settings.replace(settings(&config));
                self.config.replace(Rc::new(config));
            }
            None if self.removed_until.get().is_none() => {
                self.removed_until.set(Some(now.after(self.config.borrow().timeouts.drain)));
            }
            None => {}
        }
    }

    /// When its connections are cut; `None` while it stands. Until then they finish what they are at.
    pub(crate) fn removed_until(&self) -> Option<Instant> {
        self.removed_until.get()
    }

    /// Takes a connection in, unless the limit is reached; it is counted until the guard is dropped.
    pub(crate) fn admit(self: &Rc<Self>) -> Option<Admitted> {
        self.accepted.increment();
        let limit = self.config.borrow().limits.connections.unwrap_or(u32::MAX);
        if self.open.fetch_add(1, Ordering::Relaxed) >= limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.increment();
            return None;
        }
        self.active.increment();
        Some(Admitted { listener: Rc::clone(self) })
    }
}

fn settings(config: &config::Listener) -> Rc<Settings> {
    let h2 = h2::Settings { limits: config.limits.head, ..(*config.http2).clone() };
    Rc::new(Settings {
        limits: config.limits.head,
        scheme: if config.tls.is_some() { Scheme::Https } else { Scheme::Http },
        h2: Rc::new(h2),
    })
}

/// An admitted connection's place in the count.
pub(crate) struct Admitted {
    pub(crate) listener: Rc<Listener>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.listener.open.fetch_sub(1, Ordering::Relaxed);
        self.listener.active.decrement();
    }
}
