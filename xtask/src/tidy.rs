//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule is a pure function from text to [`Problem`]s, so that its tests can show it failing. A rule that cannot
//! say where, what and why does not belong here.

mod crates;
mod floors;
mod licences;
mod sources;
mod words;

use crate::shell;
use anyhow::{Context, Result, bail};
use core::fmt::{self, Display, Formatter};
use crates::Workspace;
use std::fs;
use std::path::Path;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Path from the workspace's folder.
    file: String,
    line: usize,
    what: String,
    why: &'static str,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.what, self.why)
    }
}

/// Check the whole tree and print every problem at once.
pub(crate) fn run() -> Result<()> {
    let metadata = shell::output(&mut shell::cargo(&["metadata", "--format-version", "1", "--no-deps", "--quiet"]))?;
    let workspace = Workspace::parse(&metadata, &shell::root())?;
    let tree = shell::output(&mut shell::cargo(&licences::TREE))?;
    let allowed = licences::allowed(&read("deny.toml")?);

    let mut problems = floors::check(&workspace.members);
    problems.extend(licences::check(&tree, &allowed));
    let files = tracked_files()?;
    for file in &files {
        let text = read(file)?;
        problems.extend(words::check(file, &text));
        if Path::new(file).extension().is_some_and(|extension| extension == "rs") {
            problems.extend(sources::check(file, &text));
        }
    }
    problems.extend(sources::stale_exceptions(&files));

    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("tidy: {} problems", problems.len());
    }
    println!("tidy: {} files, {} crates, in order", files.len(), workspace.members.len());
    Ok(())
}

fn read(file: &str) -> Result<String> {
    let bytes = fs::read(shell::root().join(file)).with_context(|| format!("cannot read {file}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Every text file that is, or is about to be, in the repository.
fn tracked_files() -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(shell::root());
    let listed = shell::output(&mut git)?;
    let there = |file: &&str| shell::root().join(file).is_file() && is_text(file);
    Ok(listed.lines().filter(there).map(str::to_owned).collect())
}

/// Files that people write; not `LICENSE`, not lock files, not test data.
fn is_text(file: &str) -> bool {
    let known = ["rs", "md", "toml", "yaml", "yml", "sh", "service", "html"];
    let path = Path::new(file);
    path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known)) || path.starts_with(".ci")
}
