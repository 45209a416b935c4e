//! What builds the kernel programs: Rust with a core library for bpf, and `bpf-linker`, linked with the very LLVM of that Rust.
//!
//! Debian has the compiler ready made, beside rustup's and without disturbing it; the linker comes from crates.io. Where somebody has rustup's
//! nightly with rust-src and a `bpf-linker` already, `userspace/l4/build.rs` takes those, and nothing is installed.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A core library for bpf, a compiler for it, and its cargo.
pub(crate) const PACKAGES: [(&str, &str); 3] = [
    ("/usr/lib/rustlib/bpfel-unknown-none/lib", "libstd-rust-web-dev-bpf"),
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/bin/cargo", "cargo-web"),
];

const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";

/// Debian's packages that are missing: none where nightly does it.
pub(crate) fn packages_missing() -> Vec<&'static str> {
    if has_nightly() && linker().is_some() {
        return Vec::new();
    }
    PACKAGES.iter().filter(|(path, _package)| !Path::new(path).exists()).map(|(_path, package)| *package).collect()
}

/// Install the linker, unless it is there.
pub(crate) fn install_linker() -> Result<()> {
    if linker().is_some_and(|linker| is_right(&linker)) {
        return Ok(());
    }
    if !Path::new(PACKAGES[2].0).exists() {
        bail!("there is neither Debian's cargo-web nor rustup's nightly with rust-src and {LINKER}");
    }
    let folder = shell::target_folder().join("tools/llvm");
    fs::create_dir_all(&folder)?;
    let link = folder.join("libLLVM.so");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(llvm()?, &link)?;
    let root = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let mut install = Command::new(PACKAGES[2].0);
    for (name, _value) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO") || name.to_string_lossy().starts_with("RUST") {
            install.env_remove(name);
        }
    }
    install.env("PATH", "/usr/bin:/bin").env("RUSTC", PACKAGES[1].0).env("CARGO_HOME", &root);
    install.env("RUSTFLAGS", format!("-L native={}", folder.display())).current_dir(&folder);
    install.args(["install", LINKER, "--version", LINKER_VERSION, "--locked", "--force", "--root"]).arg(&root);
    shell::run(&mut install)
}

fn is_right(linker: &Path) -> bool {
    let version = shell::output(Command::new(linker).arg("--version"));
    version.is_ok_and(|version| version.split_whitespace().any(|word| word == LINKER_VERSION))
}

/// On the path, or where `cargo install` puts it.
fn linker() -> Option<PathBuf> {
    shell::find(LINKER).or_else(|| cargo_home().map(|home| home.join("bin").join(LINKER)).filter(|linker| linker.is_file()))
}

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

fn has_nightly() -> bool {
    let sysroot = shell::output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

/// The LLVM that Debian's compiler is linked with: the linker must read what that one writes.
fn llvm() -> Result<PathBuf> {
    let libraries = shell::output(Command::new("ldd").arg(PACKAGES[1].0))?;
    let library = libraries.lines().filter(|line| line.contains("libLLVM")).find_map(|line| line.split_whitespace().nth(2));
    library.map(PathBuf::from).with_context(|| format!("{} is linked with no LLVM of its own:\n{libraries}", PACKAGES[1].0))
}
