//! Merging: all pages' cells of the same name and labels become one series.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc};
use core::sync::atomic::Ordering::Relaxed;

use crate::{
    About, Distribution, Hub, Kind,
    caps::{Caps, Values},
    cell::Cell,
    page::News,
};

/// The reading end: belongs to one thread of the control side.
#[derive(Debug)]
pub struct Reader {
    hub: Hub,
    families: BTreeMap<&'static str, Merged>,
}

/// One metric over all pages.
#[derive(Debug)]
struct Merged {
    about: &'static About,
    caps: Caps,
    series: BTreeMap<Values, Vec<Cell>>,
}

/// Everything, as it stood when it was read.
#[derive(Debug, Default)]
pub struct Collection {
    /// Sorted by name; only metrics that were used.
    pub families: Vec<Family>,
}

/// One metric's series.
#[derive(Debug)]
pub struct Family {
    /// Which metric.
    pub about: &'static About,
    /// Sorted by their label values.
    pub series: Vec<Series>,
}

/// One combination of label values.
#[derive(Debug)]
pub struct Series {
    /// In the order of the metric's labels.
    pub values: Box<[Arc<str>]>,
    /// The sum over all pages.
    pub value: Value,
}

/// A number read.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// A counter's.
    Count(u64),
    /// A gauge's.
    Level(i64),
    /// A histogram's.
    Durations(Box<Distribution>),
}

impl Reader {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, families: BTreeMap::new() }
    }

    /// Reads and merges all pages. Costs the workers nothing but the cache lines.
    pub fn collect(&mut self) -> Collection {
        self.hear();
        let family = |family: &Merged| {
            let series = |(values, cells): (&Values, &Vec<Cell>)| Series { values: values.clone(), value: sum(family.about.kind, cells) };
            Family { about: family.about, series: family.series.iter().map(series).collect() }
        };
        Collection { families: self.families.values().map(family).collect() }
    }

    /// Takes in the cells made since the last reading.
    fn hear(&mut self) {
        while let Some(News { about, values, cell }) = self.hub.news.pop() {
            let empty = || Merged { about, caps: Caps::default(), series: BTreeMap::new() };
            let family = self.families.entry(about.name).or_insert_with(empty);
            let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
            let values = family.caps.admit(about, family.series.len(), &values);
            family.series.entry(values).or_default().push(cell);
        }
    }
}

fn sum(kind: Kind, cells: &[Cell]) -> Value {
    let numbers = cells.iter().filter_map(|cell| match cell {
        Cell::Counter(cell) | Cell::Gauge(cell) => Some(cell.load(Relaxed)),
        Cell::Histogram(_) => None,
    });
    match kind {
        Kind::Counter => Value::Count(numbers.fold(0, u64::wrapping_add)),
        Kind::Gauge => Value::Level(numbers.fold(0, u64::wrapping_add).cast_signed()),
        Kind::Histogram => {
            let mut all = Distribution::default();
            for cell in cells {
                if let Cell::Histogram(buckets) = cell {
                    buckets.add_to(&mut all);
                }
            }
            Value::Durations(Box::new(all))
        }
    }
}
