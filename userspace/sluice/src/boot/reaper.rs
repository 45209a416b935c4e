//! The first process of a container inherits what others leave behind, and has to bury it.

use std::{process, thread};

use anyhow::{Context, Result};
use rustix::process::{WaitOptions, wait};
use signal_hook::{consts::SIGCHLD, iterator::Signals};

/// Buries ended processes for as long as this one lives, if it is the first one of its namespace.
pub(crate) fn start_if_first() -> Result<()> {
    if process::id() != 1 {
        return Ok(());
    }
    let mut signals = Signals::new([SIGCHLD]).context("ended processes cannot be noticed")?;
    let bury = move || {
        for _signal in signals.forever() {
            // One signal may stand for several.
            while let Ok(Some(_ended)) = wait(WaitOptions::NOHANG) {}
        }
    };
    thread::Builder::new().name("reaper".to_owned()).spawn(bury).context("no thread to bury ended processes")?;
    Ok(())
}
