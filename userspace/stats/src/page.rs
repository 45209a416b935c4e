//! A worker's own counters. Asking for one is a hash lookup; a new one is told to the reader through the hub's queue.

use alloc::{rc::Rc, sync::Arc};
use core::{cell::RefCell, marker::PhantomData};
use std::collections::HashMap;

use crossbeam::queue::SegQueue;

use crate::{
    About, Counter, Gauge, Histogram, Metric,
    caps::{Caps, Values},
    cell::{Cell, Handle},
};

/// Where pages come from, and where they tell of new cells. Cheap to clone, for any thread.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    /// Its end is the sum of all pages' caps: every cell is told of once.
    pub(crate) news: Arc<SegQueue<News>>,
}

/// A cell the reader does not know yet.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) about: &'static About,
    pub(crate) values: Values,
    pub(crate) cell: Cell,
}

impl Hub {
    /// A new page, for the thread that calls. What it counted stays counted when it is dropped.
    pub fn page(&self) -> Page {
        Page { hub: self.clone(), families: RefCell::default(), one_thread: PhantomData }
    }
}

/// One thread's counters. Not `Send`: its cells have a single writer.
#[derive(Debug)]
pub struct Page {
    hub: Hub,
    families: RefCell<HashMap<&'static str, Family>>,
    one_thread: PhantomData<Rc<()>>,
}

/// One metric's cells.
#[derive(Debug, Default)]
struct Family {
    caps: Caps,
    cells: HashMap<Box<str>, Cell>,
}

impl Page {
    /// The counter for these label values, from 0 when it is new. `labels` are `(name, value)` in any order; one that is missing is empty.
    pub fn counter(&self, metric: &'static Metric<Counter>, labels: &[(&str, &str)]) -> Counter {
        self.handle(&metric.about, labels)
    }

    /// The gauge for these label values.
    pub fn gauge(&self, metric: &'static Metric<Gauge>, labels: &[(&str, &str)]) -> Gauge {
        self.handle(&metric.about, labels)
    }

    /// The histogram for these label values.
    pub fn histogram(&self, metric: &'static Metric<Histogram>, labels: &[(&str, &str)]) -> Histogram {
        self.handle(&metric.about, labels)
    }

    fn handle<H: Handle>(&self, about: &'static About, labels: &[(&str, &str)]) -> H {
        debug_assert!(
            labels.len() == about.labels.len() && labels.iter().all(|(name, _)| about.labels.iter().any(|label| label.name == *name)),
            "{} has other labels than {labels:?}",
            about.name
        );
        let values: Vec<&str> = about.labels.iter().map(|label| value_of(labels, label.name)).collect();
        let cell = self.families.borrow_mut().entry(about.name).or_default().cell(about, &values, || {
            let cell = H::new_cell();
            (cell, &self.hub)
        });
        H::of(&cell).expect("a metric's name stands once in the table, with one kind")
    }
}

impl Family {
    /// The cell of these values, made and told of when it is new.
    fn cell<'a>(&mut self, about: &'static About, values: &[&str], make: impl FnOnce() -> (Cell, &'a Hub)) -> Cell {
        if let Some(cell) = self.cells.get(key(values).as_str()) {
            return cell.clone();
        }
        // Values beyond a cap are not remembered, only what they became: the page does not grow by them.
        let admitted = self.caps.admit(about, self.cells.len(), values);
        let key = key(&admitted.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        let told = || {
            let (cell, hub) = make();
            hub.news.push(News { about, values: admitted, cell: cell.clone() });
            cell
        };
        self.cells.entry(key.into_boxed_str()).or_insert_with(told).clone()
    }
}

/// The values as one text, the lengths before them, so that no two lists have the same.
fn key(values: &[&str]) -> String {
    let mut key = String::with_capacity(values.iter().map(|value| value.len() + 4).sum());
    for value in values {
        key.push_str(&value.len().to_string());
        key.push(':');
        key.push_str(value);
    }
    key
}

fn value_of<'a>(labels: &[(&str, &'a str)], name: &str) -> &'a str {
    labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value)
}
