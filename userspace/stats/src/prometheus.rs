//! The Prometheus text exposition format, version 0.0.4.

use alloc::sync::Arc;
use core::{
    fmt::{Arguments, Write},
    time::Duration,
};

use crate::{About, Collection, Distribution, Family, Value};

/// The format's media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The `le` bounds given out, in microseconds and as text in seconds: round numbers for round objectives. Percentiles of our own come from the
/// fine buckets.
const BOUNDS: [(u64, &str); 17] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
];

impl Collection {
    /// All series as Prometheus reads them.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        self.families.iter().for_each(|family| write_family(&mut out, family));
        out
    }
}

fn write_family(out: &mut String, family: &Family) {
    let About { name, help, kind, .. } = family.about;
    put(out, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str()));
    for series in &family.series {
        let labels = labels(family.about, &series.values);
        match &series.value {
            Value::Count(count) => put(out, format_args!("{name}{} {count}\n", braced(&labels))),
            Value::Level(level) => put(out, format_args!("{name}{} {level}\n", braced(&labels))),
            Value::Durations(all) => write_histogram(out, name, &labels, all),
        }
    }
}

fn write_histogram(out: &mut String, name: &str, labels: &str, all: &Distribution) {
    let comma = if labels.is_empty() { "" } else { "," };
    let count = all.count();
    for (micros, bound) in BOUNDS {
        let below = all.count_up_to(Duration::from_micros(micros));
        put(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}\n"));
    }
    put(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}\n"));
    put(out, format_args!("{name}_sum{} {}\n", braced(labels), all.sum().as_secs_f64()));
    put(out, format_args!("{name}_count{} {count}\n", braced(labels)));
}

/// `name="value"` with commas between.
fn labels(about: &About, values: &[Arc<str>]) -> String {
    let mut out = String::new();
    for (label, value) in about.labels.iter().zip(values) {
        let comma = if out.is_empty() { "" } else { "," };
        put(&mut out, format_args!("{comma}{}=\"", label.name));
        for char in value.chars() {
            match char {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                char => out.push(char),
            }
        }
        out.push('"');
    }
    out
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn put(out: &mut String, text: Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
