//! Ctrl-C ends a measurement by unwinding through it, so that every `Drop` stops what it started.

use anyhow::{Context, Result, bail};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

const SLICE: Duration = Duration::from_millis(20);

/// From here on Ctrl-C and SIGTERM only raise a flag.
pub(crate) fn watch() -> Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(asked)).context("cannot watch for Ctrl-C")?;
    }
    Ok(())
}

/// An error once somebody asked to stop.
pub(crate) fn check() -> Result<()> {
    if ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed)) {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleep, unless somebody asks to stop.
pub(crate) fn rest(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(SLICE));
    }
}
