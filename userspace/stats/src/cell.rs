//! A number one thread writes and another reads.
//!
//! Writing is a relaxed load, an addition and a relaxed store: a third of the cost of a locked addition, and right only because one thread writes.
//! The types see to it: a handle is not `Send`, and a [`crate::Page`], which hands them out, neither.

use alloc::{rc::Rc, sync::Arc};
use core::{
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::Histogram;

/// A number that only grows.
#[derive(Clone, Debug)]
pub struct Counter {
    cell: Arc<AtomicU64>,
    one_thread: PhantomData<Rc<()>>,
}

impl Counter {
    /// One more.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    #[inline]
    pub fn add(&self, count: u64) {
        add(&self.cell, count);
    }

    /// Where it stands on this page.
    #[inline]
    pub fn value(&self) -> u64 {
        self.cell.load(Relaxed)
    }
}

/// A number that goes up and down. A page's own part may be negative (what one worker opened another may close); the sum counts.
#[derive(Clone, Debug)]
pub struct Gauge {
    cell: Arc<AtomicU64>,
    one_thread: PhantomData<Rc<()>>,
}

impl Gauge {
    /// One more.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// One less.
    #[inline]
    pub fn decrement(&self) {
        self.add(-1);
    }

    /// One more until the guard is dropped, be it by a panic.
    #[inline]
    pub fn hold(&self) -> Held<'_> {
        self.increment();
        Held { gauge: self }
    }

    /// `change` more, or less.
    #[inline]
    pub fn add(&self, change: i64) {
        add(&self.cell, change.cast_unsigned());
    }

    /// This page's part is `value`.
    #[inline]
    pub fn set(&self, value: i64) {
        self.cell.store(value.cast_unsigned(), Relaxed);
    }

    /// Where it stands on this page.
    #[inline]
    pub fn value(&self) -> i64 {
        self.cell.load(Relaxed).cast_signed()
    }
}

/// A gauge's one more.
#[derive(Debug)]
pub struct Held<'a> {
    gauge: &'a Gauge,
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.gauge.decrement();
    }
}

/// The single writer's addition.
#[inline]
pub(crate) fn add(cell: &AtomicU64, count: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(count), Relaxed);
}

/// What the reader holds of a cell, and the page for handing out more handles.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<crate::histogram::Buckets>),
}

/// What a metric's type parameter can be.
pub(crate) trait Handle: Sized {
    fn new_cell() -> Cell;
    /// `None` when the cell is of another kind, which the types of the metrics rule out.
    fn of(cell: &Cell) -> Option<Self>;
}

impl Handle for Counter {
    fn new_cell() -> Cell {
        Cell::Counter(Arc::default())
    }
    fn of(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Counter(cell) => Some(Self { cell: Arc::clone(cell), one_thread: PhantomData }),
            Cell::Gauge(_) | Cell::Histogram(_) => None,
        }
    }
}

impl Handle for Gauge {
    fn new_cell() -> Cell {
        Cell::Gauge(Arc::default())
    }
    fn of(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Gauge(cell) => Some(Self { cell: Arc::clone(cell), one_thread: PhantomData }),
            Cell::Counter(_) | Cell::Histogram(_) => None,
        }
    }
}

impl Handle for Histogram {
    fn new_cell() -> Cell {
        Cell::Histogram(Arc::default())
    }
    fn of(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Histogram(buckets) => Some(Self::over(Arc::clone(buckets))),
            Cell::Counter(_) | Cell::Gauge(_) => None,
        }
    }
}
