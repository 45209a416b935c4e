//! `cargo xtask ebpf`: what the kernel programs cost the verifier of this kernel, against their budgets. Needs root.
//!
//! The work is done by a program of `tests/ebpf`: this one must build where the kernel programs cannot be built yet.

use crate::shell;
use anyhow::Result;

/// Build them, load them, print a table; fail when one is over its budget.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut shell::cargo(&["run", "--quiet", "--package", "ebpf", "--bin", "budgets"]))
}
