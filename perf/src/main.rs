//! Sluice beside its peers on one machine, measured so that the peers' authors would accept it.
//!
//! `cargo xtask bench` builds everything and starts this program. The proxies run on CPU 0; this process, which is
//! both load generator and origin, runs on CPU 1. What is compared first is CPU time per unit of work: a rate or a
//! percentile on a small machine says as much about the generator as about the proxy.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a measuring tool speaks on the terminal and lives in real time"
)]

mod admin;
mod bystanders;
mod compare;
mod interrupt;
mod l4;
mod launch;
mod load;
mod memory;
mod meter;
mod origin;
mod peers;
mod plans;
mod process;
mod reloads;
mod rig;
mod rows;
mod steady;
mod syscalls;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "perf")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure Sluice and its peers, print one table and keep it
    Compare(compare::Options),
    /// Measure the kernel layer, packet by packet, beside the usual design
    L4(l4::Options),
    /// Become another program on the CPUs given (what `compare` starts its proxies with)
    #[command(hide = true)]
    Launch(launch::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Compare(options) => compare::run(&options),
        Verb::L4(options) => l4::run(&options),
        Verb::Launch(options) => launch::run(&options),
    }
}
