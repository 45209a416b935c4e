//! Pages written on several threads, merged, capped and printed.
#![expect(clippy::unwrap_used, reason = "tests")]

extern crate alloc;
use alloc::collections::BTreeMap;
use core::time::Duration;
use std::thread;

use serde_json as _;
use stats::{View, metrics, stats};

#[test]
fn pages_of_all_threads_are_summed_and_survive_them() {
    let (hub, mut reader) = stats();
    let count = |worker: u64| {
        let hub = hub.clone();
        thread::spawn(move || {
            let page = hub.page();
            let requests = page.counter(&metrics::REQUESTS, &[("listener", "web"), ("route", "api")]);
            let again = page.counter(&metrics::REQUESTS, &[("route", "api"), ("listener", "web")]);
            let active = page.gauge(&metrics::DOWNSTREAM_ACTIVE, &[("listener", "web")]);
            let took = page.histogram(&metrics::REQUEST_DURATION, &[("route", "api")]);
            for at in 0..10_000 {
                requests.increment();
                again.increment();
                took.record(Duration::from_micros(100 * (at % 100)));
            }
            active.set(-1);
            active.add(i64::try_from(worker).unwrap());
        })
    };
    let threads: Vec<_> = (1..=2).map(count).collect();
    // Reading while they write loses nothing and never goes back.
    let mut last = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        let now = View::from(&reader.collect()).total("sluice_requests_total", &[]);
        assert!(now >= last);
        last = now;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let view = View::from(&reader.collect());
    assert_eq!(view.total("sluice_requests_total", &[("route", "api")]), 40_000);
    assert_eq!(view.total("sluice_downstream_connections_active", &[]), 1);
    assert_eq!(view.total("sluice_request_duration_seconds", &[]), 20_000);
    let p50 = view.series("sluice_request_duration_seconds")[0].seconds["p50"];
    assert!((0.0047..0.0053).contains(&p50), "{p50}");
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<View>(&text).unwrap(), view);
}

#[test]
fn values_beyond_a_label_s_cap_are_other() {
    let (hub, mut reader) = stats();
    let (one, two) = (hub.page(), hub.page());
    for at in 0..70 {
        one.counter(&metrics::FAULTS, &[("reason", &format!("one-{at}"))]).increment();
        two.counter(&metrics::FAULTS, &[("reason", &format!("two-{at}"))]).increment();
    }
    let view = View::from(&reader.collect());
    let series = view.series("sluice_faults_total");
    assert_eq!(series.len(), 65, "64 values and `other`");
    assert_eq!(view.total("sluice_faults_total", &[]), 140, "nothing is lost");
    assert_eq!(view.total("sluice_faults_total", &[("reason", "other")]), 6 + 70);
}

#[test]
fn a_configured_object_s_counter_starts_at_zero() {
    let (hub, mut reader) = stats();
    let page = hub.page();
    let failures = page.counter(&metrics::UPSTREAM_CONNECT_FAILURES, &[("cluster", "api")]);
    assert!(reader.collect().prometheus().contains("sluice_upstream_connect_failures_total{cluster=\"api\"} 0\n"));
    failures.add(2);
    assert_eq!(failures.value(), 2);
    assert!(reader.collect().prometheus().contains("sluice_upstream_connect_failures_total{cluster=\"api\"} 2\n"));
}

#[test]
fn the_prometheus_text_is_well_formed() {
    let (hub, mut reader) = stats();
    let page = hub.page();
    page.counter(&metrics::CONFIG_APPLIED, &[]).increment();
    page.gauge(&metrics::REQUESTS_ACTIVE, &[("listener", "a\\b\"c\nd")]).set(-3);
    let took = page.histogram(&metrics::UPSTREAM_DURATION, &[("cluster", "api"), ("endpoint", "10.0.0.1:80")]);
    for micros in [40, 1_900, 1_900, 70_000_000] {
        took.record(Duration::from_micros(micros));
    }
    let text = reader.collect().prometheus();
    let lines = parse(&text);
    assert_eq!(lines["sluice_config_applied_total"], "1");
    assert_eq!(lines[r#"sluice_requests_active{listener="a\\b\"c\nd"}"#], "-3");
    let bucket = |bound: &str| {
        lines[&format!(r#"sluice_upstream_duration_seconds_bucket{{cluster="api",endpoint="10.0.0.1:80",le="{bound}"}}"#)].clone()
    };
    assert_eq!(["0.0001", "0.001", "0.0025", "30", "+Inf"].map(bucket), ["1", "1", "3", "3", "4"]);
    assert_eq!(lines[r#"sluice_upstream_duration_seconds_sum{cluster="api",endpoint="10.0.0.1:80"}"#], "70.00384");
    assert_eq!(lines[r#"sluice_upstream_duration_seconds_count{cluster="api",endpoint="10.0.0.1:80"}"#], "4");
}

/// Reads the text as strictly as a scraper: HELP, TYPE, then samples of that family alone, each name once, histograms cumulative.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut samples = BTreeMap::new();
    let (mut family, mut below) = (String::new(), 0);
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.split_once(' ').unwrap().0.clone_into(&mut family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind.strip_prefix(&family).is_some_and(|kind| [" counter", " gauge", " histogram"].contains(&kind)), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(&family), "{line} in {family}");
            value.parse::<f64>().unwrap();
            if let Some((_, bound)) = series.split_once("le=\"") {
                below = if bound.starts_with("0.0001\"") { 0 } else { below };
                assert!(value.parse::<u64>().unwrap() >= below, "{line}");
                below = value.parse().unwrap();
            }
            assert!(samples.insert(series.to_owned(), value.to_owned()).is_none(), "{series} stands twice");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

#[test]
fn what_a_panic_held_is_given_back() {
    let (hub, _reader) = stats();
    let page = hub.page();
    let active = page.gauge(&metrics::REQUESTS_ACTIVE, &[("listener", "web")]);
    let panicking = std::panic::AssertUnwindSafe(|| {
        let _held = active.hold();
        assert_eq!(active.value(), 0, "it is one");
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(active.value(), 0);
}
