//! `cargo xtask sim`: the whole proxy on a simulated network, more often or with one seed.
//!
//! Seeds go to the test crate by environment, so that a failing seed can be replayed without this program too.

use crate::shell;
use anyhow::Result;
use clap::Args;

/// Which seeds to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run this many seeds
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// Replay one seed
    #[arg(long)]
    seed: Option<u64>,
}

/// Run the simulation's tests with the seeds asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = shell::cargo(&["test", "--package", "sim", "--", "--nocapture"]);
    if let Some(count) = options.seeds {
        command.env("SIM_SEEDS", count.to_string());
    }
    if let Some(seed) = options.seed {
        command.env("SIM_SEED", seed.to_string());
    }
    shell::run(&mut command)
}
