//! `cargo xtask bench`: Sluice beside nginx, HAProxy and Envoy on this machine.
//!
//! Builds and starts `perf`, which does the measuring: see there for how. Only a full run is kept in `perf/results/`.

use crate::{setup, shell};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use std::process::Command;

/// What to compare, how long.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Few rounds: shows that it works, proves little, is not kept
    #[arg(long)]
    quick: bool,
    /// Peers to compare with
    #[arg(long, default_value = "nginx,haproxy,envoy")]
    against: String,
    /// Only these rows (see `perf compare --help` for their names); not kept
    #[arg(long)]
    rows: Option<String>,
    /// Rounds of every row that is read more than once
    #[arg(long)]
    rounds: Option<String>,
    /// Measure the peers alone; not kept
    #[arg(long)]
    without_sluice: bool,
    /// Measure although somebody else is at work; not kept
    #[arg(long)]
    force: bool,
}

/// Something else than the comparison with peers.
#[derive(Subcommand)]
enum What {
    /// The kernel layer, packet by packet, beside the usual design; needs root
    L4 {
        /// Rounds, in each of which everything is measured once
        #[arg(long)]
        rounds: Option<String>,
    },
}

/// Where the numbers of a full run are kept.
const RESULTS: &str = "perf/results/foundation";

/// Install, build, compare.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(What::L4 { rounds }) = &options.what {
        return l4(rounds.as_deref());
    }
    setup::run(&setup::Options { bench: true })?;
    let mut build = shell::cargo(&["build", "--release", "--package", "perf"]);
    if !options.without_sluice {
        build.args(["--package", "sluice"]);
    }
    shell::run(&mut build)?;
    shell::run(&mut compare(options)?)
}

/// What is measured runs in the kernel; only how long a list takes until it is in force is ours.
fn l4(rounds: Option<&str>) -> Result<()> {
    let mut bench = shell::cargo(&["run", "--quiet", "--release", "--package", "perf", "--", "l4"]);
    bench.args(rounds.map(|rounds| ["--rounds", rounds]).into_iter().flatten());
    shell::run(&mut bench)
}

fn compare(options: &Options) -> Result<Command> {
    let built = shell::target_folder().join("release");
    let mut compare = Command::new(built.join("perf"));
    compare.current_dir(shell::root()).args(["compare", "--against", &options.against]);
    compare.arg("--envoy").arg(setup::envoy().context("setup did not install Envoy")?);
    if !options.without_sluice {
        compare.arg("--sluice").arg(built.join("sluice"));
    }
    let valued = [("--rows", &options.rows), ("--rounds", &options.rounds)];
    for (flag, value) in valued {
        if let Some(value) = value {
            compare.args([flag, value]);
        }
    }
    for (flag, wanted) in [("--quick", options.quick), ("--force", options.force)] {
        if wanted {
            compare.arg(flag);
        }
    }
    if !(options.quick || options.force || options.without_sluice || options.rows.is_some()) {
        compare.args(["--keep", RESULTS]);
    }
    Ok(compare)
}
