//! What a worker shows of itself to other threads: atomics that it alone writes.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use io::Counts;
use proxy::House;
use stats::{Counter, Gauge, metrics};
use std::sync::Arc;

/// A worker's signs of life.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Raised several times a second while the worker's loop turns.
    pub beats: Arc<AtomicU64>,
    is_drained: AtomicBool,
    serving: AtomicU64,
}

impl Pulse {
    /// Whether the worker was told to drain and has.
    pub fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }

    /// Connections that the worker had at its last beat.
    pub fn serving(&self) -> u64 {
        self.serving.load(Ordering::Relaxed)
    }

    pub(crate) fn beat(&self, is_drained: bool, serving: usize) {
        self.serving.store(serving as u64, Ordering::Relaxed);
        self.is_drained.store(is_drained, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ring's counts as metrics.
pub(crate) struct RingCounters {
    seen: Counts,
    seen_panics: u64,
    turns: Counter,
    completions: Counter,
    parked: Counter,
    short_sends: Counter,
    heap_moved: Counter,
    accept_paused: Counter,
    accept_held: Counter,
    lanes_full: Counter,
    kernel_tls: Counter,
    kernel_tls_bytes: Counter,
    kernel_tls_refused: Counter,
    kernel_tls_ended: Counter,
    seen_refused: u64,
    mail_refused: Counter,
    panics: Counter,
    tasks: Gauge,
}

impl RingCounters {
    pub(crate) fn new(house: &House, worker: u32) -> Self {
        let name = worker.to_string();
        let labels = [("worker", &*name)];
        let page = house.page();
        Self {
            seen: Counts::default(),
            seen_panics: 0,
            seen_refused: 0,
            mail_refused: page.counter(&metrics::WORKER_MAIL_REFUSED, &labels),
            turns: page.counter(&metrics::WORKER_TURNS, &labels),
            completions: page.counter(&metrics::WORKER_COMPLETIONS, &labels),
            parked: page.counter(&metrics::WORKER_RECV_PARKED, &labels),
            short_sends: page.counter(&metrics::WORKER_SEND_SHORT, &labels),
            heap_moved: page.counter(&metrics::WORKER_HEAP_MOVED, &labels),
            accept_paused: page.counter(&metrics::WORKER_ACCEPT_PAUSED, &labels),
            accept_held: page.counter(&metrics::WORKER_ACCEPT_HELD, &labels),
            lanes_full: page.counter(&metrics::WORKER_LANES_FULL, &labels),
            kernel_tls: page.counter(&metrics::WORKER_KERNEL_TLS, &labels),
            kernel_tls_bytes: page.counter(&metrics::WORKER_KERNEL_TLS_BYTES, &labels),
            kernel_tls_refused: page.counter(&metrics::WORKER_KERNEL_TLS_REFUSED, &labels),
            kernel_tls_ended: page.counter(&metrics::WORKER_KERNEL_TLS_ENDED, &labels),
            panics: page.counter(&metrics::WORKER_PANICS, &labels),
            tasks: page.gauge(&metrics::WORKER_TASKS, &labels),
        }
    }

    /// `mail_refused` is what the worker's post has given back so far.
    pub(crate) fn publish(&mut self, house: &House, mail_refused: u64) {
        let now = house.ring().counts();
        let seen = core::mem::replace(&mut self.seen, now);
        self.turns.add(now.turns - seen.turns);
        self.completions.add(now.completions - seen.completions);
        self.parked.add(now.parked - seen.parked);
        self.short_sends.add(now.short_sends - seen.short_sends);
        self.heap_moved.add(now.heap_moved_bytes - seen.heap_moved_bytes);
        self.accept_paused.add(now.accept_paused - seen.accept_paused);
        self.accept_held.add(now.accept_held - seen.accept_held);
        self.lanes_full.add(now.lanes_full - seen.lanes_full);
        self.kernel_tls.add(now.kernel_tls - seen.kernel_tls);
        self.kernel_tls_bytes.add(now.kernel_tls_bytes - seen.kernel_tls_bytes);
        self.kernel_tls_refused.add(now.kernel_tls_refused - seen.kernel_tls_refused);
        self.kernel_tls_ended.add(now.kernel_tls_ended - seen.kernel_tls_ended);
        self.mail_refused.add(mail_refused - core::mem::replace(&mut self.seen_refused, mail_refused));
        let panics = house.ring().panics();
        self.panics.add(panics - core::mem::replace(&mut self.seen_panics, panics));
        self.tasks.set(i64::try_from(house.ring().tasks()).unwrap_or(i64::MAX));
    }
}
