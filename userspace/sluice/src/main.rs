//! Sluice, the program: its commands, and how a process of it begins and ends.
//!
//! [`run`] is the story of the load balancer's process. The other commands look at a configuration, at this machine or at a
//! running process; `origin` is a small server to balance onto, for trying and testing. Nothing of a request's way is in this crate.

mod allocator;
mod boot;
mod commands;
mod decap;
mod doctor;
mod drops;
mod guards;
mod kernel;
mod kernel_stats;
mod l4_command;
mod origin;
mod redirect;
mod run;
mod steer;
mod top;

use clap::{Parser, Subcommand};
use core::fmt::Display;
use std::{io::Write, process::ExitCode};

/// A load balancer.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Balance traffic, as a configuration file says
    Run(run::Options),
    /// Say everything that is wrong with a configuration file
    Check(commands::File),
    /// Show a configuration file as it is understood
    Config(commands::Config),
    /// Print the JSON Schema of configuration files
    Schema,
    /// Look at this machine: what the engine can use, and what to set otherwise
    Doctor(doctor::Options),
    /// Watch a running process: rates, errors, latencies, workers
    Top(top::Options),
    /// Have a running process finish what is under way and end
    Drain(commands::Admin),
    /// Look at the kernel layer, or end it
    #[command(subcommand)]
    L4(l4_command::Command),
    /// Open envelopes at this origin: the other side of `dsr: ipip` and `dsr: gue`
    Decap(decap::Options),
    /// Serve a small HTTP origin to balance onto
    Origin(origin::Options),
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Check(file) => Ok(commands::check(&file)),
        Command::Config(options) => Ok(commands::config(&options)),
        Command::Schema => commands::schema(),
        Command::Doctor(options) => Ok(doctor::run(&options)),
        Command::Top(options) => top::run(&options),
        Command::Drain(admin) => commands::drain(&admin),
        Command::L4(command) => l4_command::run(&command),
        Command::Decap(options) => decap::run(&options),
        Command::Origin(options) => origin::run(&options),
    };
    ended.unwrap_or_else(|error| {
        complain(format_args!("sluice: {error:#}"));
        ExitCode::FAILURE
    })
}

/// A line for whoever started us.
fn say(text: impl Display) {
    // Nobody listens any more (a closed pipe): then there is nothing to say.
    let _told = writeln!(std::io::stdout(), "{text}");
}

/// A line about what is wrong.
fn complain(text: impl Display) {
    let _told = writeln!(std::io::stderr(), "{text}");
}
