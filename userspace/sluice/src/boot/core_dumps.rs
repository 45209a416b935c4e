//! Core dumps hold keys and requests: none are written, and nobody else may look into the process, unless it was asked for.

use anyhow::{Context, Result};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Allows or forbids them. After the user has changed, which forbids them by itself.
pub(crate) fn set(allowed: bool) -> Result<()> {
    let behavior = if allowed { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    set_dumpable_behavior(behavior).context("core dumps cannot be forbidden or allowed")?;
    if !allowed {
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).context("core dumps cannot be forbidden")?;
    }
    Ok(())
}
