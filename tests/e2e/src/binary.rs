//! Where the program is: built once per test program, into the folder that the test itself was built into.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A command of the program.
pub fn sluice_command() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    Command::new(BINARY.get_or_init(find))
}

/// `SLUICE_BINARY` when whoever runs the tests has built it; else cargo builds it, which takes no time when it is built.
fn find() -> PathBuf {
    if let Some(binary) = env::var_os("SLUICE_BINARY") {
        return binary.into();
    }
    // TARGET/PROFILE/deps/TEST, or TARGET/TRIPLE/PROFILE/deps/TEST.
    let test = env::current_exe().expect("a running program has a file");
    let profile = test.ancestors().nth(2).expect("a test stands in a folder of its profile");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("profiles are named in ASCII");
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "sluice", "--profile", if name == "debug" { "dev" } else { name }]);
    build.arg("--target-dir").arg(profile.parent().expect("a profile stands in the target folder"));
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    let built = build.status().expect("cargo can be run");
    assert!(built.success(), "sluice cannot be built");
    profile.join("sluice")
}
