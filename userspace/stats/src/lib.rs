//! Counters, gauges and latency histograms: one [`Page`] per worker, merged only when somebody reads.
//!
//! A worker asks its page for a [`Counter`], [`Gauge`] or [`Histogram`] once (a hash lookup) and keeps the handle; writing to it is a plain load
//! and store of a cell that only this thread writes, without a lock prefix. New cells reach the [`Reader`] through a lock-free queue, so a
//! worker never waits for a scrape and a scrape never for a worker.
//!
//! Counters live by name beside the configuration, from first use on: a reload loses none. Every label has a cap; what comes after it is
//! counted as `other`. All metrics stand in one table, [`metrics`].
//!
//! Log lines leave a worker the same way, through [`lines`]: a bounded queue that drops and counts.
#![forbid(unsafe_code)]
extern crate alloc;

mod caps;
mod cell;
mod histogram;
mod lines;
mod metric;
pub mod metrics;
mod page;
mod prometheus;
mod reader;
mod view;

pub use cell::{Counter, Gauge, Held};
pub use histogram::{Distribution, Histogram};
pub use lines::{BATCH_BYTES_MAX, Batch, Lines, LinesReader, LinesWriter, QUEUE_BATCHES_MAX, QUEUE_BYTES_MAX, lines};
pub use metric::{About, Kind, Label, Metric};
pub use page::{Hub, Page};
pub use prometheus::CONTENT_TYPE;
pub use reader::{Collection, Family, Reader, Series, Value};
pub use view::{FamilyView, SeriesView, View};

/// The value that stands for all values of a label beyond its cap.
pub const OTHER: &str = "other";

/// Two ends of one set of counters: the [`Hub`] makes pages (any thread), the [`Reader`] merges them.
pub fn stats() -> (Hub, Reader) {
    let hub = Hub::default();
    let reader = Reader::new(hub.clone());
    (hub, reader)
}
