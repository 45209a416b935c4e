//! `cargo xtask`: every developer verb, one file each.
//!
//! Plain Rust instead of shell scripts: what a verb does is read, checked and tested like the rest of the tree.
//! Nothing of the product may depend on this program, and no verb may need anything that `setup` does not install.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a developer's tool speaks on the terminal and lives in real time"
)]

mod bench;
mod check;
mod demo;
mod ebpf;
mod guest;
mod lab;
mod setup;
mod shell;
mod sim;
mod test;
mod tidy;
mod toolchain;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Sluice's developer verbs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building and testing need (and benching, with --bench); does nothing when all is there
    Setup(setup::Options),
    /// Formatting, lints, tidy, documentation, dependencies
    Check,
    /// The house rules that no compiler knows: floors, headers, sizes, words, licences
    Tidy,
    /// Everything a change must pass; --quick leaves out `check` and the demo
    Test(test::Options),
    /// The whole proxy on a simulated network
    Sim(sim::Options),
    /// Sluice over three origins with steady traffic, live
    Demo(demo::Options),
    /// Sluice beside nginx, HAProxy and Envoy on this machine
    Bench(bench::Options),
    /// What the kernel programs cost the verifier, against their budgets
    Ebpf,
    /// The oldest kernel that is promised, in a machine of its own: kernel programs and the engine on it
    Guest,
    /// The kernel layer in a network of its own: nodes, origins, changes, deaths
    Lab(lab::Options),
    /// What CI runs: the same as `test`
    Ci,
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
        Verb::Setup(options) => setup::run(&options),
        Verb::Check => check::run(),
        Verb::Tidy => tidy::run(),
        Verb::Test(options) => test::run(&options),
        Verb::Sim(options) => sim::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Ebpf => ebpf::run(),
        Verb::Guest => guest::run(),
        Verb::Lab(options) => lab::run(&options),
        Verb::Ci => test::run(&test::Options::default()),
    }
}
