//! How long a reload of a large file takes: 10 000 clusters and 5 000 routes, one endpoint changed.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch")]

use core::fmt::Write as _;
use std::time::Instant;

use config::{compile, load};

fn document(marker: u32) -> String {
    let mut text = String::from(
        "version: 1\nlisteners:\n  web:\n    bind: [\"*:8080\"]\n    http:\n      sites:\n        - hosts: [\"*\"]\n          routes:\n",
    );
    for at in 0..5_000 {
        write!(
            text,
            "            - match: {{ path: /service-{at}/api/* }}\n              to: cluster-{at:05}\n              timeouts: {{ request: 5s }}\n"
        )
        .expect("a String takes all");
    }
    text.push_str("clusters:\n");
    for at in 0..10_000u32 {
        let (high, low) = (at / 256, at % 256);
        let weight = if at == 5_000 { marker } else { 2 };
        write!(
            text,
            "  cluster-{at:05}:\n    endpoints: [10.0.{high}.{low}:8080, {{ address: 10.1.{high}.{low}:8080, weight: {weight}, labels: {{ zone: a }} }}]\n    balance: least_request\n"
        )
        .expect("a String takes all");
    }
    text
}

fn main() {
    let path = std::env::temp_dir().join(format!("sluice-reload-{}.yaml", std::process::id()));
    let mut previous = None;
    for round in 1..=12 {
        std::fs::write(&path, document(round)).expect("the temporary folder takes it");
        let start = Instant::now();
        let loaded = load(&path).expect("a good file");
        let parsed = Instant::now();
        let snapshot = compile(&loaded, previous.as_ref()).expect("a good configuration");
        let done = Instant::now();
        println!("load {:?} compile {:?} total {:?}", parsed - start, done - parsed, done - start);
        previous = Some(snapshot);
        let start = Instant::now();
        drop(loaded);
        println!("  drop {:?}", start.elapsed());
    }
    std::fs::remove_file(&path).expect("it is there");
}
