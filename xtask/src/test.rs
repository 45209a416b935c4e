//! `cargo xtask test`: everything a change must pass, from a clean clone, in one command.
//!
//! One profile and one set of features for all of it: binaries and tests are built in one go, and the end-to-end
//! tests run the binary that this made (`SLUICE_BINARY`). Every second build of the tree would cost CI minutes.

use crate::{check, demo, guest, setup, shell};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// How much to test.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only the tests: no `check`, no guest, no demo
    #[arg(long)]
    quick: bool,
}

/// Install, check, build, test; the last line says how many passed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run(&setup::Options::default())?;
    if !options.quick {
        check::run()?;
    }
    shell::run(&mut shell::cargo(&["build", "--workspace", "--bins", "--tests"]))?;
    let binary = shell::target_folder().join("debug/sluice");
    let totals = run_tests(&binary)?;
    let more = if options.quick { Ok(()) } else { guest::run().and_then(|()| demo::verify(&binary)) };
    println!("\n{} passed, {} failed", totals.passed, totals.failed);
    if totals.failed > 0 || !totals.clean {
        bail!("the tests did not pass");
    }
    more
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    /// Cargo itself was content: a crashed test program reports no failure of its own.
    clean: bool,
}

fn run_tests(binary: &Path) -> Result<Totals> {
    let mut command = shell::cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.env("SLUICE_BINARY", binary).stdout(Stdio::piped());
    shell::show(&command);
    let mut child = command.spawn().context("cannot start cargo")?;
    let lines = BufReader::new(child.stdout.take().expect("piped above")).lines();
    let mut totals = Totals::default();
    for line in lines {
        let line = line.context("cargo test printed bytes that are not text")?;
        println!("{line}");
        totals.add(&line);
    }
    totals.clean = child.wait().context("cannot wait for cargo")?.success();
    Ok(totals)
}

impl Totals {
    /// Count one line of `cargo test`: `test result: ok. 3 passed; 0 failed; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed;" => self.passed += count,
                "failed;" => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    fn check(lines: &[&str], passed: u64, failed: u64) {
        let mut totals = Totals::default();
        for line in lines {
            totals.add(line);
        }
        assert_eq!((totals.passed, totals.failed), (passed, failed), "{lines:?}");
    }

    #[test]
    fn results_are_added_up() {
        check(&[], 0, 0);
        check(&["test head::splits ... ok"], 0, 0);
        check(&["test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s"], 12, 0);
        check(
            &[
                "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
                "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            ],
            14,
            5,
        );
    }
}
