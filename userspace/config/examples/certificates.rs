//! How long a reload takes when one of 10 000 certificates has changed: from the files to the snapshot.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch")]

use core::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use config::{Snapshot, compile, load_after};

const CERTIFICATES: u32 = 10_000;
const ROUNDS: usize = 11;

/// Another certificate and another key for a name.
fn write_pair(folder: &Path, at: u32) {
    let made = rcgen::generate_simple_self_signed([format!("site-{at}.example.com")]).expect("a good name");
    fs::write(folder.join(format!("{at}.pem")), made.cert.pem()).expect("the temporary folder takes it");
    fs::write(folder.join(format!("{at}.key")), made.signing_key.serialize_pem()).expect("the temporary folder takes it");
}

fn update(path: &Path, previous: Option<&Snapshot>) -> (Snapshot, [Duration; 2]) {
    let start = Instant::now();
    let loaded = load_after(path, previous).expect("a good document");
    let read = start.elapsed();
    let snapshot = compile(&loaded, previous).expect("a good configuration");
    (snapshot, [read, start.elapsed().saturating_sub(read)])
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut text = String::from("version: 1\nsecrets:\n");
    let mut names = String::new();
    for at in 0..CERTIFICATES {
        write_pair(folder.path(), at);
        writeln!(text, "  site-{at}: {{ cert: {at}.pem, key: {at}.key }}").expect("a String takes all");
        write!(names, "site-{at}, ").expect("a String takes all");
    }
    write!(text, "listeners: {{ web: {{ bind: [\"*:443\"], tls: {{ certificates: [{names}] }}, tcp: a }} }}\nclusters: {{ a: {{ endpoints: [10.0.0.1:80] }} }}\n")
        .expect("a String takes all");
    let path = folder.path().join("sluice.yaml");
    fs::write(&path, text).expect("the temporary folder takes it");
    // Past the moment in which the times of files would not show another change.
    std::thread::sleep(Duration::from_millis(200));
    let (mut snapshot, [read, compiled]) = update(&path, None);
    println!("{CERTIFICATES} certificates, all new: read {read:?}, compiled {compiled:?}");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        write_pair(folder.path(), CERTIFICATES / 2);
        let (next, time) = update(&path, Some(&snapshot));
        (snapshot, times) = (next, [times, vec![time]].concat());
    }
    times.sort_unstable_by_key(|[read, compiled]| *read + *compiled);
    let [read, compiled] = times[ROUNDS / 2];
    println!("one changed, median of {ROUNDS}: read {read:?}, compiled {compiled:?}");
}
