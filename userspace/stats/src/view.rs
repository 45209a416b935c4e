//! The same numbers as JSON: what `/stats` gives, and what its clients read it back into.

use alloc::collections::BTreeMap;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Collection, Distribution, Family, Series, Value};

/// All metrics by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View {
    /// By the metric's whole name.
    pub metrics: BTreeMap<String, FamilyView>,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FamilyView {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// One for each combination of label values.
    pub series: Vec<SeriesView>,
}

/// One combination of label values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesView {
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// A counter's or gauge's value, a histogram's count.
    pub value: i64,
    /// A histogram's percentiles in seconds, `p50` to `p999`; absent without values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seconds: BTreeMap<String, f64>,
    /// A histogram's buckets, to compute windows with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Distribution>,
}

/// The percentiles given out.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

impl View {
    /// A metric's series; none when it was not used yet.
    pub fn series(&self, metric: &str) -> &[SeriesView] {
        self.metrics.get(metric).map_or(&[], |family| &family.series)
    }

    /// The sum of a metric's series that have all of `labels`.
    pub fn total(&self, metric: &str, labels: &[(&str, &str)]) -> i64 {
        self.series(metric).iter().filter(|series| series.has(labels)).map(|series| series.value).sum()
    }
}

impl SeriesView {
    /// Whether it has all of these label values.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|own| own == value))
    }
}

impl From<&Collection> for View {
    fn from(collection: &Collection) -> Self {
        let family = |family: &Family| {
            let series = family.series.iter().map(|series| series_view(family, series)).collect();
            (family.about.name.to_owned(), FamilyView { kind: family.about.kind.as_str().to_owned(), series })
        };
        Self { metrics: collection.families.iter().map(family).collect() }
    }
}

fn series_view(family: &Family, series: &Series) -> SeriesView {
    let label = |(label, value): (&&crate::Label, &alloc::sync::Arc<str>)| (label.name.to_owned(), value.to_string());
    let labels = family.about.labels.iter().zip(&series.values).map(label).collect();
    match &series.value {
        Value::Count(count) => SeriesView { labels, value: i64::try_from(*count).unwrap_or(i64::MAX), ..SeriesView::default() },
        Value::Level(level) => SeriesView { labels, value: *level, ..SeriesView::default() },
        Value::Durations(all) => {
            let percentile =
                |&(name, share): &(&str, f64)| all.quantile(share).as_ref().map(|took| (name.to_owned(), Duration::as_secs_f64(took)));
            SeriesView {
                labels,
                value: i64::try_from(all.count()).unwrap_or(i64::MAX),
                seconds: PERCENTILES.iter().filter_map(percentile).collect(),
                histogram: Some(Distribution::clone(all)),
            }
        }
    }
}
