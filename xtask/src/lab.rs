//! `cargo xtask lab`: the kernel layer between clients, nodes and origins in network namespaces. Needs root.
//!
//! Without `--full` it is what `cargo xtask test` runs too; with it, restarts are rolled over twenty backends under a thousand flows, half of
//! which are idle for a minute and a half. `--flood` is the SYN flood alone, at its full length: half a minute each way, and at least 100 000 a second.

use crate::{setup, shell};
use anyhow::Result;
use clap::Args;

/// How long to look.
#[derive(Args)]
pub(crate) struct Options {
    /// Everything at its full length
    #[arg(long)]
    full: bool,
    /// The SYN flood alone, at its full length
    #[arg(long)]
    flood: bool,
}

/// Run the lab's tests and show what they saw.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run(&setup::Options::default())?;
    // By its place: a package of the registry has the same name.
    let mut command = shell::cargo(&["test", "--manifest-path", "tests/lab/Cargo.toml", "--no-fail-fast"]);
    if options.flood {
        command.args(["--test", "flood"]);
    }
    command.args(["--", "--nocapture"]);
    if options.full || options.flood {
        command.env("SLUICE_LAB_FULL", "1");
    }
    shell::run(&mut command)
}
