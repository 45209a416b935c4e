//! What a metric is: its name, what it means, its labels and their caps. Known at compile time; see [`crate::metrics`] for all of them.

use core::marker::PhantomData;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down; summed over the pages.
    Gauge,
    /// How long something took.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label and how many different values of it are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Values beyond so many are counted as [`crate::OTHER`].
    pub values_max: usize,
}

/// What is said of a metric.
#[derive(Debug)]
pub struct About {
    /// Its whole name, `sluice_...`; unit and `_total` included.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its labels, in this order everywhere.
    pub labels: &'static [&'static Label],
}

/// A metric whose cells are `K`: [`crate::Counter`], [`crate::Gauge`] or [`crate::Histogram`].
#[derive(Debug)]
pub struct Metric<K> {
    /// Everything but the type.
    pub about: About,
    cells: PhantomData<fn() -> K>,
}

impl<K> Metric<K> {
    /// For the table alone: a metric that is not in it would not be found by its readers.
    pub(crate) const fn new(about: About) -> Self {
        Self { about, cells: PhantomData }
    }
}
