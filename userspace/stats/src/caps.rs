//! How many values of a label are kept apart. The page holds it for its own memory, the reader once more for the sum of all pages.

use alloc::{boxed::Box, sync::Arc};
use std::collections::HashSet;

use crate::{About, OTHER};

/// Label values in their metric's order.
pub(crate) type Values = Box<[Arc<str>]>;

/// Combinations of label values kept apart for one metric, whatever its labels' caps multiply to.
pub(crate) const SERIES_MAX: usize = 200_000;

/// The values seen so far of one metric's labels.
#[derive(Debug, Default)]
pub(crate) struct Caps {
    seen: Vec<HashSet<Arc<str>>>,
}

impl Caps {
    /// `values` with each that is beyond its label's cap replaced by `other`; all of them when the metric has `series` combinations already.
    pub(crate) fn admit(&mut self, about: &About, series: usize, values: &[&str]) -> Values {
        self.seen.resize_with(about.labels.len(), HashSet::new);
        let full = series >= SERIES_MAX;
        let admit = |((label, seen), &value): ((&&'static crate::Label, &mut HashSet<Arc<str>>), &&str)| {
            if full {
                return Arc::from(OTHER);
            }
            if let Some(known) = seen.get(value) {
                return Arc::clone(known);
            }
            if seen.len() >= label.values_max {
                return Arc::from(OTHER);
            }
            let value: Arc<str> = Arc::from(value);
            seen.insert(Arc::clone(&value));
            value
        };
        about.labels.iter().zip(&mut self.seen).zip(values).map(admit).collect()
    }
}
