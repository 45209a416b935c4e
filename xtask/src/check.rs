//! `cargo xtask check`: what a reviewer should never have to say.
//!
//! In the order of cost: what fails fast comes first. Warnings are errors here and nowhere else, so that a half
//! written change still builds.

use crate::{shell, tidy};
use anyhow::Result;

/// Fail on the first check that does not hold.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    shell::run(&mut shell::cargo(&clippy))?;
    let mut documentation = shell::cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    shell::run(documentation.env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()
}

/// cargo-deny takes minutes to build and is in no package, so it runs where somebody has it. Without it nothing is
/// lost but duplicate versions and advisories: `tidy` holds the licences and sources of the same `deny.toml`.
fn dependencies() -> Result<()> {
    if shell::find("cargo-deny").is_none() {
        println!("\ncargo-deny is not installed: licences and sources were checked by tidy");
        return Ok(());
    }
    shell::run(&mut shell::cargo(&["deny", "check", "bans", "licenses", "sources"]))
}
