//! The commands that look at a configuration or ask a running process, and end.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use control::Client;

use crate::{complain, say};

/// Where a running process is asked when nothing is said.
const ADMIN_SOCKET: &str = "/run/sluice/admin.sock";

/// A configuration file.
#[derive(Args)]
pub(crate) struct File {
    /// The configuration file
    file: PathBuf,
}

/// What of a configuration to show.
#[derive(Args)]
pub(crate) struct Config {
    /// With includes merged, sugar written out and defaults filled in
    #[arg(long, required = true)]
    effective: bool,
    /// The configuration file
    file: PathBuf,
}

/// How to reach a running process.
#[derive(Args)]
pub(crate) struct Admin {
    /// Its admin socket: a path, or ADDRESS:PORT where reading is enough
    #[arg(long, value_name = "SOCKET", default_value = ADMIN_SOCKET)]
    admin: String,
}

impl Admin {
    pub(crate) fn client(&self) -> Client {
        match self.admin.parse() {
            Ok(port) => Client::Port(port),
            Err(_not_an_address) => Client::Socket(self.admin.strip_prefix("unix:").unwrap_or(&self.admin).into()),
        }
    }
}

/// Says that a file is in order, or everything that is not.
pub(crate) fn check(File { file }: &File) -> ExitCode {
    let Some(candidate) = read(file) else { return ExitCode::FAILURE };
    let snapshot = candidate.snapshot();
    let (listeners, clusters) = (snapshot.listeners.len(), snapshot.clusters().count());
    say(format_args!("{}: ok, {listeners} listeners, {clusters} clusters", file.display()));
    ExitCode::SUCCESS
}

/// Reads and compiles a file; says all reasons against it.
pub(crate) fn read(file: &Path) -> Option<control::Candidate> {
    control::read(file).map_err(|reasons| reasons.iter().for_each(complain)).ok()
}

/// Shows a file as it is understood.
pub(crate) fn config(Config { effective: _, file }: &Config) -> ExitCode {
    match config::load(file).and_then(|loaded| config::effective(&loaded)) {
        Ok(text) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(rejections) => {
            rejections.iter().for_each(complain);
            ExitCode::FAILURE
        }
    }
}

/// Prints the schema.
pub(crate) fn schema() -> Result<ExitCode> {
    say(serde_json::to_string_pretty(&config::schema()).context("the schema cannot be written")?);
    Ok(ExitCode::SUCCESS)
}

/// Has a process drain.
pub(crate) fn drain(admin: &Admin) -> Result<ExitCode> {
    say(admin.client().drain()?.trim_end());
    Ok(ExitCode::SUCCESS)
}
