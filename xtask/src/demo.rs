//! `cargo xtask demo`: Sluice at work in one minute, and `--check` for the same without eyes.
//!
//! Three origins, one Sluice, steady traffic. Nothing of it outlives the command, and nothing needs root.

mod config;
mod running;
mod traffic;

use crate::{setup, shell};
use anyhow::{Context, Result, bail};
use clap::Args;
use config::{ORIGINS, Version};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use running::Running;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::io::{self, IsTerminal};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use traffic::{Seen, Traffic};

/// How to show it.
#[derive(Args)]
pub(crate) struct Options {
    /// No terminal: edit the configuration under load, verify that nobody noticed, exit 0 or 1
    #[arg(long)]
    check: bool,
    /// The build profile of the Sluice that is shown
    #[arg(long, default_value = "release")]
    profile: String,
}

/// How long the check looks at each version of the configuration.
const LOOK: Duration = Duration::from_secs(4);
/// A new configuration that is not in force by then never will be.
const IN_FORCE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_millis(300);
const SLICE: Duration = Duration::from_millis(20);

/// Build, start, show or check, end.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run(&setup::Options::default())?;
    let binary = build(&options.profile)?;
    if options.check {
        return verify(&binary);
    }
    let interrupted = watch_for_interrupts()?;
    let stage = Stage::set(&binary)?;
    let traffic = Traffic::start(stage.web);
    println!("\nSluice balances three origins. Try, in another terminal:");
    println!("  curl -i http://{}/", stage.web);
    println!(
        "  curl -i --cacert {} https://localhost:{}/      # HTTP/2",
        config::certificate(&stage.config()).display(),
        stage.secure.port()
    );
    println!("  curl --unix-socket {} http://localhost/stats", stage.admin().display());
    println!("  $EDITOR {}      # weights, headers: in force when you save", stage.config().display());
    println!("Ctrl-C or q ends it.\n");
    show(&binary, &stage, &traffic, &interrupted)?;
    print_numbers("in all", &traffic.seen());
    Ok(())
}

/// The demo without eyes, with a Sluice that is built.
pub(crate) fn verify(binary: &Path) -> Result<()> {
    let interrupted = watch_for_interrupts()?;
    let stage = Stage::set(binary)?;
    let traffic = Traffic::start(stage.web);
    check(&stage, traffic, &interrupted)
}

/// Origins, proxy, configuration: everything that runs and is gone when this is dropped.
struct Stage {
    _origins: Vec<Running>,
    _sluice: Running,
    folder: tempfile::TempDir,
    web: SocketAddr,
    /// The same site over TLS.
    secure: SocketAddr,
    origins: [SocketAddr; 3],
}

impl Stage {
    fn set(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let [web, secure, origins @ ..] = free_addresses()?;
        let started = ORIGINS.iter().zip(origins).map(|(name, address)| {
            let mut command = Command::new(binary);
            command.args(["origin", "--bind", &address.to_string(), "--name", name]);
            Running::start(command, &folder.path().join(format!("{name}.log")), address)
        });
        let started = started.collect::<Result<Vec<Running>>>()?;
        let file = folder.path().join("sluice.yaml");
        config::certify(&file)?;
        config::write(&file, Version::First, [web, secure], origins)?;
        let mut command = Command::new(binary);
        command.args(["run", "--config"]).arg(&file);
        let sluice = Running::start(command, &folder.path().join("sluice.log"), web)?;
        Ok(Self { _origins: started, _sluice: sluice, folder, web, secure, origins })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("sluice.yaml")
    }

    fn admin(&self) -> PathBuf {
        config::admin(&self.config())
    }
}

fn build(profile: &str) -> Result<PathBuf> {
    shell::run(&mut shell::cargo(&["build", "--package", "sluice", "--bin", "sluice", "--profile", profile]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(shell::target_folder().join(folder).join("sluice"))
}

fn watch_for_interrupts() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot watch for Ctrl-C")?;
    }
    Ok(interrupted)
}

/// The live view; without a terminal, or when it ends with an error, a line of numbers a second.
fn show(binary: &Path, stage: &Stage, traffic: &Traffic, interrupted: &AtomicBool) -> Result<()> {
    if io::stdout().is_terminal() {
        let status = Command::new(binary).arg("top").arg("--admin").arg(stage.admin()).status().context("cannot start sluice top")?;
        if status.success() || interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    while !interrupted.load(Ordering::Relaxed) {
        rest(Duration::from_secs(1), interrupted);
        print_numbers("so far", &traffic.seen());
    }
    Ok(())
}

/// Look, edit the configuration under load, look again, judge.
fn check(stage: &Stage, traffic: Traffic, interrupted: &AtomicBool) -> Result<()> {
    rest(LOOK, interrupted);
    let first = traffic.seen();
    let edited = Instant::now();
    config::write(&stage.config(), Version::Second, [stage.web, stage.secure], stage.origins)?;
    while traffic.seen().second == 0 && edited.elapsed() < IN_FORCE && !interrupted.load(Ordering::Relaxed) {
        thread::sleep(SLICE);
    }
    let in_force = traffic.seen().second_since.map(|since| since.saturating_duration_since(edited));
    // Workers take it one after the other, and requests that were on their way end as they began.
    rest(SETTLE, interrupted);
    let before_second = traffic.seen();
    rest(LOOK, interrupted);
    let all = traffic.finish();
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    let second = all.since(&before_second);
    print_numbers("before the edit", &first);
    print_numbers("after the edit", &second);
    match in_force {
        Some(time) => println!("the edit was in force after {} ms", time.as_millis()),
        None => println!("the edit never came into force"),
    }
    let mut faults = faults(&first, &second, &all);
    faults.extend(secure_faults(stage));
    for fault in &faults {
        println!("demo: {fault}");
    }
    if !faults.is_empty() {
        bail!("the demo failed; {}", said(&stage.folder.path().join("sluice.log")));
    }
    println!("demo: {} requests, 0 failed, 0 connections closed", all.answered());
    Ok(())
}

/// The site over TLS, by both versions of HTTP.
fn secure_faults(stage: &Stage) -> Vec<String> {
    let certificate = config::certificate(&stage.config());
    let url = format!("https://localhost:{}/", stage.secure.port());
    let faults = [("--http1.1", "1.1 200"), ("--http2", "2 200")].into_iter().filter_map(|(version, expect)| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_version} %{http_code}",
            version,
            &url,
            "--cacert",
        ]);
        match shell::output(curl.arg(&certificate)) {
            Ok(said) if said.trim() == expect => None,
            Ok(said) => Some(format!("{url} {version}: {said} instead of {expect}")),
            Err(error) => Some(format!("{url} {version}: {error:#}")),
        }
    });
    faults.collect()
}

/// What a good proxy would not have shown.
fn faults(first: &Seen, second: &Seen, all: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, count) in ORIGINS.iter().zip(first.by_origin) {
        if count == 0 {
            faults.push(format!("{name} never answered"));
        }
    }
    if all.failed > 0 {
        faults.push(format!("{} requests failed; the first: {}", all.failed, all.first_failure));
    }
    if all.closed > 0 {
        faults.push(format!("{} connections were closed", all.closed));
    }
    if second.second == 0 {
        faults.push("no answer came by the edited configuration".to_owned());
    }
    if second.second < second.answered() {
        faults.push("answers came by the old configuration after the new one was in force".to_owned());
    }
    let heavy = second.by_origin[0];
    if heavy <= second.by_origin[1] + second.by_origin[2] {
        faults.push(format!("{} has most of the weight and gave {heavy} of {} answers", ORIGINS[0], second.answered()));
    }
    faults
}

fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    if text.is_empty() { "sluice said nothing".to_owned() } else { format!("sluice said:\n{text}") }
}

fn print_numbers(when: &str, seen: &Seen) {
    let origins = ORIGINS.iter().zip(seen.by_origin);
    let origins: Vec<String> = origins.map(|(name, count)| format!("{name} {count}")).collect();
    println!("{when}: {} answered ({}), {} failed, {} connections closed", seen.answered(), origins.join(", "), seen.failed, seen.closed);
}

fn rest(time: Duration, interrupted: &AtomicBool) {
    let end = Instant::now() + time;
    while Instant::now() < end && !interrupted.load(Ordering::Relaxed) {
        thread::sleep(SLICE);
    }
}

/// Addresses that nobody listens on now: two for Sluice, three for the origins.
fn free_addresses() -> Result<[SocketAddr; 5]> {
    let listen = || TcpListener::bind(("127.0.0.1", 0)).context("no free port");
    let listeners = [listen()?, listen()?, listen()?, listen()?, listen()?];
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); 5];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr().context("a socket without an address")?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::{Seen, faults};

    fn seen(by_origin: [u64; 3], second: u64) -> Seen {
        Seen { by_origin, second, ..Seen::default() }
    }

    fn check(first: &Seen, second: &Seen, all: &Seen, expect: &[&str]) {
        let faults = faults(first, second, all);
        assert_eq!(faults.len(), expect.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expect) {
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn every_fault_is_found() {
        let first = seen([5, 5, 5], 0);
        let second = seen([8, 1, 1], 10);
        let all = seen([13, 6, 6], 10);
        check(&first, &second, &all, &[]);
        check(&seen([5, 0, 5], 0), &second, &all, &["birch never answered"]);
        check(&first, &second, &Seen { failed: 1, ..seen([13, 6, 6], 10) }, &["1 requests failed"]);
        check(&first, &second, &Seen { closed: 2, ..seen([13, 6, 6], 10) }, &["2 connections"]);
        check(&first, &seen([8, 1, 1], 0), &all, &["no answer came", "old configuration"]);
        check(&first, &seen([8, 1, 1], 9), &all, &["old configuration"]);
        check(&first, &seen([3, 4, 3], 10), &all, &["most of the weight"]);
    }
}
