//! How long a reload of a large file takes: 10 000 clusters and 5 000 routes, from the file's bytes to the snapshot.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch")]

use core::fmt::Write as _;
use std::time::Instant;

use config::{Snapshot, compile, load};

const ROUNDS: u32 = 10;

fn document(head: &str, weight: u32) -> String {
    let mut text = format!(
        "version: 1\n{head}listeners:\n  web:\n    bind: [\"*:8080\"]\n    http:\n      sites:\n        - hosts: [\"*\"]\n          routes:\n"
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
        let weight = if at == 5_000 { weight } else { 2 };
        write!(
            text,
            "  cluster-{at:05}:\n    endpoints: [10.0.{high}.{low}:8080, {{ address: 10.1.{high}.{low}:8080, weight: {weight}, labels: {{ zone: a }} }}]\n    balance: least_request\n"
        )
        .expect("a String takes all");
    }
    text
}

/// Loads what `head` gives for every round, each against the one before, and prints the medians.
fn measure(what: &str, previous: &mut Option<Snapshot>, head: impl Fn(u32) -> String) {
    let path = std::env::temp_dir().join(format!("sluice-reload-{}.yaml", std::process::id()));
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        std::fs::write(&path, document(&head(round), round)).expect("the temporary folder takes it");
        let start = Instant::now();
        let loaded = load(&path).expect("a good file");
        let read = Instant::now();
        let snapshot = compile(&loaded, previous.as_ref()).expect("a good configuration");
        times.push((start.elapsed(), read - start, read.elapsed()));
        *previous = Some(snapshot);
    }
    std::fs::remove_file(&path).expect("it is there");
    times.sort();
    let (whole, load, compile) = times[times.len() / 2];
    println!("{what}: {whole:?} (reading {load:?}, compiling {compile:?})");
}

fn main() {
    let mut previous = None;
    measure("one endpoint changed", &mut previous, |_| String::new());
    measure("a default changed: everything is compiled anew", &mut previous, |round| {
        format!("defaults: {{ timeouts: {{ connect: {round}s, request: {round}s }} }}\n")
    });
    measure("an anchor", &mut previous, |_| "x-note: &note 1\n".to_owned());
    measure("a text over lines", &mut previous, |_| "x-note: |\n  1\n".to_owned());
    measure("a folded text: the general parser reads it", &mut previous, |_| "x-note: >\n  1\n".to_owned());
}
