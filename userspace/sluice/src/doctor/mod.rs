//! `sluice doctor`: what this machine offers the engine, one line each, and what to do where that is less than it could be.
//!
//! It only looks and says; it changes nothing, and a machine that could be better is no error.

mod cpus;
mod engine;
mod kernel;
mod network;
mod vips;

use core::fmt::{self, Display, Formatter};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{commands, say};
use network::Look;

/// For what.
#[derive(Args)]
pub(crate) struct Options {
    /// A configuration file: what its VIPs need is looked at too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One thing looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    value: String,
    /// What to do about it; `None` when it is in order.
    advice: Option<String>,
}

impl Finding {
    fn ok(what: &str, value: impl Display) -> Self {
        Self { what: what.to_owned(), value: value.to_string(), advice: None }
    }

    fn warn(what: &str, value: impl Display, advice: impl Display) -> Self {
        Self { advice: Some(advice.to_string()), ..Self::ok(what, value) }
    }

    /// In order, or with advice.
    fn judge(what: &str, value: impl Display, in_order: bool, advice: impl Display) -> Self {
        if in_order { Self::ok(what, value) } else { Self::warn(what, value, advice) }
    }
}

impl Display for Finding {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let verdict = if self.advice.is_some() { "warn" } else { "ok" };
        write!(out, "{verdict:<5} {:<30} {}", self.what, self.value)?;
        match &self.advice {
            Some(advice) => write!(out, "  -> {advice}"),
            None => Ok(()),
        }
    }
}

/// Looks at everything.
pub(crate) fn run(options: &Options) -> ExitCode {
    let snapshot = match options.config.as_deref().map(commands::read) {
        None => None,
        Some(Some(candidate)) => Some(candidate.snapshot().clone()),
        // What is wrong with it has been said.
        Some(None) => return ExitCode::FAILURE,
    };
    let has_vips = snapshot.as_ref().is_some_and(|snapshot| !snapshot.vips.is_empty());
    let cpus = cpus::ours();
    // Where the kernel does not tell there is nothing to say.
    let hooks = l4::hooks().unwrap_or_default();
    let merging = l4::merging().ok();
    let interfaces = Look { root: Path::new("/"), cpus: &cpus, has_vips, hooks: &hooks, merging: merging.as_ref() }.interfaces();
    let vips = snapshot.map(|snapshot| vips::look(&snapshot)).unwrap_or_default();
    let findings: Vec<Finding> = [engine::look(), kernel::look(), cpus::look(), interfaces, vips].into_iter().flatten().collect();
    findings.iter().for_each(say);
    match findings.iter().filter(|finding| finding.advice.is_some()).count() {
        0 => say("all in order"),
        warnings => say(format_args!("{warnings} could be better")),
    }
    ExitCode::SUCCESS
}

/// A file of the kernel's, without the white space around it; `None` where this kernel has none.
fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_to_do() {
        assert_eq!(Finding::ok("clock source", "tsc").to_string(), "ok    clock source                   tsc");
        let line = Finding::warn("net.core.somaxconn", 128, "sysctl -w net.core.somaxconn=4096").to_string();
        assert_eq!(line, "warn  net.core.somaxconn             128  -> sysctl -w net.core.somaxconn=4096");
    }
}
