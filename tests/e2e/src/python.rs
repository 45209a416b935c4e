//! Clients that only Python has, as `cargo xtask setup` installs them; the programs stand in `clients/`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A program of `clients/`, to be started with more arguments.
#[track_caller]
pub fn python(program: &str) -> Command {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(program);
    let interpreter = interpreter();
    assert!(interpreter.is_file(), "{} is not there: `cargo xtask setup` installs it", interpreter.display());
    let mut command = Command::new(interpreter);
    command.arg("-u").arg(file).stdin(Stdio::null());
    command
}

/// Runs one to its end: what it printed; it has to succeed.
#[track_caller]
pub fn run_python(program: &str, arguments: &[&str]) -> String {
    let output = python(program).args(arguments).output().expect("Python can be run");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}{wrong}", output.status);
    said.into_owned()
}

/// A child that ends when dropped.
#[derive(Debug)]
pub struct Ending(pub Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `SLUICE_CLIENTS` where somebody has installed them elsewhere; else beside what cargo builds.
fn interpreter() -> PathBuf {
    if let Some(folder) = env::var_os("SLUICE_CLIENTS") {
        return PathBuf::from(folder).join("bin/python");
    }
    // TARGET/PROFILE/deps/TEST, or TARGET/TRIPLE/PROFILE/deps/TEST.
    let test = env::current_exe().expect("a running program has a file");
    let folders = test.ancestors().skip(1).map(|folder| folder.join("tools/clients/bin/python"));
    let mut found = folders.filter(|python| python.is_file());
    found.next().unwrap_or_else(|| PathBuf::from("target/tools/clients/bin/python"))
}
