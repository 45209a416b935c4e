//! What the proxy itself has counted in a run, as far as the judge asks: what is still open, who was cut off and why.

use std::collections::BTreeMap;

use stats::{Reader, Value, metrics};

use crate::{attacker::BOMBS, ledger::Book};

/// Limits that honest clients reach too, or that say nothing about a flood.
const HONEST_LIMITS: &[&str] = &["streams", "head", "request_rest"];

/// The counters of all workers together.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections of clients and their requests that are open, by name and labels.
    served: BTreeMap<String, i64>,
    /// Connections to origins.
    upstream: i64,
    /// Limits reached, by the limit's name.
    limits: BTreeMap<String, u64>,
    /// Connections that ended as floods.
    floods: u64,
}

impl Counts {
    /// As they stand now.
    pub fn read(reader: &mut Reader) -> Self {
        let served = [metrics::DOWNSTREAM_ACTIVE.about.name, metrics::REQUESTS_ACTIVE.about.name];
        let mut counts = Self::default();
        for family in reader.collect().families {
            for series in family.series {
                let labels = series.values.iter().map(AsRef::as_ref).collect::<Vec<&str>>();
                match series.value {
                    Value::Level(level) if served.contains(&family.about.name) => {
                        counts.served.insert(format!("{} {labels:?}", family.about.name), level);
                    }
                    Value::Level(level) if family.about.name == metrics::UPSTREAM_ACTIVE.about.name && labels == ["origins"] => {
                        counts.upstream += level;
                    }
                    Value::Count(count) if family.about.name == metrics::DOWNSTREAM_LIMITS.about.name => {
                        *counts.limits.entry(labels[1].to_owned()).or_default() += count;
                    }
                    Value::Count(count) if family.about.name == metrics::FAULTS.about.name && labels == ["http2_flood"] => {
                        counts.floods += count;
                    }
                    Value::Count(_) | Value::Level(_) | Value::Durations(_) => {}
                }
            }
        }
        counts
    }

    /// What counts wrongly what is open, when no client is left and so many connections to origins are.
    pub fn left_open(&self, upstream: usize) -> Vec<String> {
        let mut wrongs = Vec::new();
        wrongs.extend(self.served.iter().filter(|(_, level)| **level != 0).map(|(name, level)| format!("{name} is left at {level}")));
        if self.served.is_empty() {
            wrongs.push("nothing counts who is served".to_owned());
        }
        if usize::try_from(self.upstream) != Ok(upstream) {
            wrongs.push(format!("{} connections to origins counted, {upstream} open", self.upstream));
        }
        wrongs
    }

    /// Whether those who were cut off, each by one of the limits named, are what was counted; of those whose connection broke of itself nobody
    /// can tell whether they were cut off before.
    pub fn misjudged(&self, book: &Book) -> Vec<String> {
        let mut wrongs = Vec::new();
        let (cut_off, lost) = (book.cut_off.len() as u64, book.lost.len() as u64);
        if !(cut_off..=cut_off + lost).contains(&self.floods) {
            wrongs.push(format!("{} floods counted, {cut_off} attackers cut off by {:?}, {lost} lost", self.floods, book.cut_off));
        }
        for (limit, count) in self.limits.iter().filter(|(limit, _)| !HONEST_LIMITS.contains(&limit.as_str())) {
            let expected = book.cut_off.iter().chain(&book.lost).filter(|limits| limits.contains(&limit.as_str())).count() as u64;
            if *count > expected {
                wrongs.push(format!(
                    "limit {limit} counted {count} times, attackers that reach it: {expected} of {:?} and {:?}",
                    book.cut_off, book.lost
                ));
            }
        }
        let heads = self.limits.get("head").copied().unwrap_or_default();
        let perhaps = book.lost.iter().filter(|limits| limits.contains(&"head")).count() as u64 * u64::from(BOMBS);
        if !(book.too_large..=book.too_large + perhaps).contains(&heads) {
            wrongs.push(format!("{heads} heads counted as too large, {} sent, and {perhaps} perhaps", book.too_large));
        }
        wrongs
    }
}
