//! Waiting for what another process does: as long as it takes, but not for ever.

use core::{fmt::Display, time::Duration};
use std::{
    process::{Command, Output, Stdio},
    thread,
    time::Instant,
};

/// How long anything may take that takes no time on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `holds`.
#[track_caller]
pub fn eventually(what: impl Display, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}

/// Does nothing for a while: only for what happens in time itself (a pace, a slow peer), never to wait for something.
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Runs a program of the system to its end; it must be installed (`cargo xtask setup` does it).
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): `cargo xtask setup` installs it"))
}
