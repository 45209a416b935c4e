//! Load over HTTP/2: h2load, started and counted.

use std::process::{Child, Command, Stdio};

/// Starts h2load with ten connections and up to ten requests on each at once; [`tally`] waits for it.
#[track_caller]
pub fn load(url: &str, host: &str, more: &[&str]) -> Child {
    let mut command = Command::new("h2load");
    command.args(["-c10", "-m10", "-t1"]).args(more).args(["--header", &format!(":authority: {host}")]).arg(url);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    spawned.unwrap_or_else(|error| panic!("h2load cannot be run ({error}): `cargo xtask setup` installs it"))
}

/// How many requests of a [`load`] succeeded and failed; waits for its end.
#[track_caller]
pub fn tally(load: Child) -> (u64, u64) {
    let output = load.wait_with_output().expect("h2load tells it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("requests:")).unwrap_or_else(|| panic!("h2load: {text}"));
    let number = |word: &str| {
        let part = line.split([',', ':']).find(|part| part.ends_with(word)).unwrap_or_else(|| panic!("{line}"));
        part.trim().split(' ').next().expect("h2load tells it").parse::<u64>().expect("h2load tells it")
    };
    (number("succeeded"), number("failed") + number("errored") + number("timeout"))
}
