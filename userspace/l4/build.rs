//! Builds the kernel programs (`ebpf/prog`) and leaves them where `programs.rs` embeds them from.
//!
//! They need a compiler with a core library for the kernel's machine and `bpf-linker`. Either Debian's (packages rustc-web, cargo-web,
//! libstd-rust-web-dev-bpf) or rustup's nightly with rust-src, which builds its own core. `cargo xtask setup` installs the first; without
//! either this fails with one line that says so. It never needs root, and the network only for crates that were never fetched.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

/// Each is one folder of `ebpf/prog/src/bin`.
const PROGRAMS: [&str; 5] = ["balancer", "origin", "redirect", "steer", "yardstick"];

const TARGET: &str = "bpfel-unknown-none";

/// Type information for the loader; and copies of structures in any order, or the linker refuses them.
const FLAGS: &str = "-C linker=bpf-linker -C debuginfo=2 -C link-arg=--btf -C link-arg=--disable-expand-memcpy-in-order";

const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    // (Asked when it runs: a target folder may serve several clones, of which the one that compiled this may be gone.)
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo gives no CARGO_MANIFEST_DIR")?);
    let workspace = here.join("../..");
    for part in ["ebpf/abi", "ebpf/prog"] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gives no OUT_DIR")?);
    let folder = out.join("ebpf");
    let mut cargo = toolchain().ok_or("the kernel programs need Rust for bpf and bpf-linker: run `cargo xtask setup`")?;
    cargo.current_dir(workspace).args(["--release", "--package", "prog", "--target", TARGET, "--target-dir"]).arg(&folder);
    println!("cargo::rustc-check-cfg=cfg(kernel_log)");
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        cargo.args(["--features", "log"]);
        println!("cargo::rustc-cfg=kernel_log");
    }
    let output = cargo.output().map_err(|error| format!("cannot start the compiler of the kernel programs: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).replace('\n', "\ncargo::error=");
        return Err(format!("the kernel programs do not build:\ncargo::error={said}"));
    }
    for program in PROGRAMS {
        let built = folder.join(TARGET).join("release").join(program);
        fs::copy(&built, out.join(program)).map_err(|error| format!("cannot take {}: {error}", built.display()))?;
    }
    Ok(())
}

/// `cargo build`, by the first toolchain that is there.
fn toolchain() -> Option<Command> {
    let linker = folder_of("bpf-linker")?;
    if Path::new(DEBIAN_CORE).is_dir() && Path::new("/usr/bin/cargo").is_file() {
        let mut cargo = clean(Command::new("/usr/bin/cargo"));
        // The core library is ready made; the linker's flags alone are what a stable compiler refuses.
        cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env("PATH", path_with(&linker)).arg("build");
        return Some(cargo);
    }
    let rustup = folder_of("rustup")?.join("rustup");
    let sysroot = Command::new(&rustup).args(["run", "nightly", "rustc", "--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).ok()?.trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return None;
    }
    let mut cargo = clean(Command::new(rustup));
    cargo.env("PATH", path_with(&linker)).args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
    Some(cargo)
}

/// Without what the outer cargo told this script: it is about another machine.
fn clean(mut command: Command) -> Command {
    for (name, _value) in env::vars_os() {
        let name = name.to_string_lossy();
        let outer = name.starts_with("CARGO") || name.starts_with("RUST");
        if outer && name != "CARGO_HOME" && name != "RUSTUP_HOME" {
            command.env_remove(name.as_ref());
        }
    }
    command.env("RUSTFLAGS", FLAGS);
    command
}

/// The folder of a program: on the path, or where `cargo install` puts it.
fn folder_of(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let installed = home.map(|home| home.join("bin"));
    env::split_paths(&path).chain(installed).find(|folder| folder.join(program).is_file())
}

fn path_with(linker: &Path) -> String {
    format!("/usr/bin:/bin:{}", linker.display())
}
