//! `perf launch`: turn into another program, pinned and with the same surroundings for every proxy.
//!
//! A program of its own because everything here survives `exec` and needs no unsafe code between fork and exec.

use anyhow::{Context, Result, anyhow};
use clap::Args;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where and what.
#[derive(Args)]
pub(crate) struct Options {
    /// CPUs it may use
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Pin, switch transparent huge pages off, raise the file limit, die with the parent, exec.
pub(crate) fn run(options: &Options) -> Result<()> {
    pin(&options.cpus)?;
    rustix::thread::disable_transparent_huge_pages(true).context("cannot switch transparent huge pages off")?;
    raise_file_limit()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).context("cannot ask to die with the parent")?;
    let error = Command::new(&options.command[0]).args(&options.command[1..]).exec();
    Err(anyhow!(error).context(format!("cannot start {}", options.command[0])))
}

/// Keep this thread, and all it starts from here on, on these CPUs.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    rustix::thread::sched_setaffinity(None::<Pid>, &set).with_context(|| format!("cannot run on CPUs {cpus:?}"))
}

/// The soft limit of open files becomes the hard one.
pub(crate) fn raise_file_limit() -> Result<()> {
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let wanted = Rlimit { current: hard, maximum: hard };
    rustix::process::setrlimit(Resource::Nofile, wanted).context("cannot raise the limit of open files")
}
