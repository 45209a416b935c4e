//! `cargo xtask guest`: Debian 12's own kernel (6.1, the oldest that is promised) in a machine of its own, on this machine's files.
//!
//! This machine's kernel is seldom that old, and only a real one has its verifier, its `io_uring` and its kTLS. The machine is emulated, without KVM,
//! which is not everywhere: slow, so it runs a few chosen tests. It sees all files of this one, and what it writes is gone with it.

use crate::{setup, shell};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's newest kernel of this release; it depends on the package that has it.
const KERNEL: &str = "linux-image-amd64";

/// What its kernel needs to see our files, in the order of their needs; then what the tests use.
const MODULES: [&str; 32] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "netfs",
    "fscache",
    "9pnet",
    "9pnet_virtio",
    "9p",
    "overlay",
    "tls",
    "gcm",
    "ctr",
    "gf128mul",
    "ghash-generic",
    "cryptd",
    "crypto_simd",
    "aesni-intel",
    "libchacha",
    "chacha-x86_64",
    "poly1305-x86_64",
    "chacha20poly1305",
    "veth",
    "sch_ingress",
    "bonding",
    "llc",
    "stp",
    "garp",
    "mrp",
    "8021q",
    "dummy",
];

/// What is run: a test program, and which of its tests. One of each kind of kernel program, and the engine end to end.
const TESTS: [(&str, &str, &[&str]); 9] = [
    ("ebpf", "budget", &[]),
    ("ebpf", "lines", &[]),
    ("ebpf", "dsr", &["ip_in_ipv4"]),
    ("ebpf", "decap", &["strangers_are_passed_on"]),
    ("ebpf", "steer", &[]),
    ("ebpf", "redirect", &[]),
    ("ebpf", "stacked", &["--ignored"]),
    ("e2e", "basics", &[]),
    ("e2e", "kernel_tls", &["suite", "slow", "told", "tcp"]),
];

/// The line that says how the tests inside ended.
const VERDICT: &str = "guest: exit ";

/// Seconds until the machine is taken to be lost.
const PATIENCE: &str = "900";

/// Boot it, run the tests in it, fail when one does.
pub(crate) fn run() -> Result<()> {
    setup::run(&setup::Options::default())?;
    if !cfg!(target_arch = "x86_64") {
        bail!("the guest's kernel is Debian's for amd64: this machine is another");
    }
    let kernel = kernel()?;
    let script = folder().join("script");
    fs::write(&script, self::script(&programs()?)?).with_context(|| format!("cannot write {}", script.display()))?;
    boot(&image(&kernel)?, &initial_files(&kernel, &script)?)
}

fn folder() -> PathBuf {
    shell::target_folder().join("tools/guest")
}

/// The folder of the unpacked kernel, fetched once.
fn kernel() -> Result<PathBuf> {
    let kernel = folder().join("kernel");
    if kernel.exists() {
        return Ok(kernel);
    }
    shell::run(&mut setup::as_root(&["apt-get", "update", "--quiet"])?)?;
    let depends = shell::output(Command::new("apt-cache").args(["depends", KERNEL]))?;
    let package =
        depends.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).context("Debian has no kernel for this machine")?;
    let draft = folder().join("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    fs::create_dir_all(&draft)?;
    shell::run(Command::new("apt-get").args(["download", package]).current_dir(&draft))?;
    let archive = only_file(&draft)?;
    shell::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&draft))?;
    fs::remove_file(archive)?;
    fs::rename(&draft, &kernel)?;
    Ok(kernel)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    files.into_iter().find(|path| path.is_file()).with_context(|| format!("nothing came to {}", folder.display()))
}

fn image(kernel: &Path) -> Result<PathBuf> {
    let boot = fs::read_dir(kernel.join("boot"))?.filter_map(Result::ok).map(|entry| entry.path());
    boot.into_iter().find(|path| path.to_string_lossy().contains("vmlinuz")).context("the package holds no kernel")
}

/// The test programs by their source files, built as `cargo xtask test` builds them: with another choice of packages all would be built anew.
fn programs() -> Result<BTreeMap<PathBuf, PathBuf>> {
    let build = ["build", "--workspace", "--bins", "--tests"];
    shell::run(&mut shell::cargo(&build))?;
    let messages = shell::output(shell::cargo(&build).arg("--message-format=json"))?;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = |value: &serde_json::Value| value.as_str().map(PathBuf::from);
    Ok(artifacts.filter_map(|artifact| Some((path(&artifact["target"]["src_path"])?, path(&artifact["executable"])?))).collect())
}

/// What runs inside, with all our files around it.
fn script(programs: &BTreeMap<PathBuf, PathBuf>) -> Result<String> {
    let mut script = format!(
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SLUICE_BINARY={}\nfailed=0\nuname -r\n",
        shell::target_folder().join("debug/sluice").display()
    );
    for (package, test, names) in TESTS {
        let tests = shell::root().join("tests").join(package);
        let source = tests.join("tests").join(test).with_extension("rs");
        let program = programs.get(&source).with_context(|| format!("{} is no test", source.display()))?.display();
        let _always =
            writeln!(script, "echo; echo '# {package}: {test}'; cd {} && {program} {} || failed=1", tests.display(), names.join(" "));
    }
    Ok(script + "exit $failed\n")
}

/// An archive with the modules and a first program that mounts our files and runs the script.
fn initial_files(kernel: &Path, script: &Path) -> Result<PathBuf> {
    let files = folder().join("initial");
    if files.exists() {
        fs::remove_dir_all(&files)?;
    }
    for name in ["bin", "proc", "sys", "dev", "low", "up", "all", "modules"] {
        fs::create_dir_all(files.join(name))?;
    }
    let busybox = shell::find("busybox").context("busybox is not installed")?;
    fs::copy(busybox, files.join("bin/busybox"))?;
    let found = shell::output(Command::new("find").arg(kernel.join("lib/modules")).args(["-name", "*.ko"]))?;
    let mut first = String::from(FIRST);
    for module in MODULES {
        let end = format!("/{module}.ko");
        let path = found.lines().find(|path| path.ends_with(&end)).with_context(|| format!("the kernel has no module {module}"))?;
        fs::copy(path, files.join("modules").join(module))?;
        let _always = writeln!(first, "$B insmod /modules/{module}");
    }
    let _always = write!(first, "{MOUNTS}$B chroot /all /bin/bash {}\n$B echo \"{VERDICT}$?\"\n$B poweroff -f\n", script.display());
    let init = files.join("init");
    fs::write(&init, first)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let archive = folder().join("initial.cpio");
    let names = shell::output(Command::new("find").arg(".").current_dir(&files))?;
    let list = folder().join("initial.list");
    fs::write(&list, names)?;
    let mut pack = Command::new("busybox");
    pack.args(["cpio", "-o", "-H", "newc", "-F"]).arg(&archive).current_dir(&files).stdin(fs::File::open(&list)?);
    shell::output(&mut pack)?;
    Ok(archive)
}

const FIRST: &str = "#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc p /proc
$B mount -t sysfs s /sys
$B mount -t devtmpfs d /dev
";

/// All files of this machine, read only, below a memory of the guest's own.
const MOUNTS: &str = "$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /low
$B mount -t tmpfs t /up
$B mkdir /up/upper /up/work
$B mount -t overlay -o lowerdir=/low,upperdir=/up/upper,workdir=/up/work o /all
$B mount -t proc p /all/proc
$B mount -t sysfs s /all/sys
$B mount -t devtmpfs d /all/dev
$B mkdir -p /all/dev/shm /all/dev/pts
$B mount -t tmpfs t /all/dev/shm
$B mount -t devpts d /all/dev/pts
$B mount -t tmpfs t /all/run
$B mount -t bpf b /all/sys/fs/bpf
$B ip link set lo up
";

/// What the machine says is shown as it comes; its last words are the verdict.
fn boot(image: &Path, initial: &Path) -> Result<()> {
    let mut machine = Command::new("timeout");
    machine.args([PATIENCE, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "4G"]);
    machine.args(["-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio", "-append", "console=ttyS0 quiet panic=-1"]);
    machine.arg("-kernel").arg(image).arg("-initrd").arg(initial);
    machine.args(["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]);
    machine.stdin(Stdio::null()).stdout(Stdio::piped());
    shell::show(&machine);
    let mut machine = machine.spawn().context("cannot start qemu")?;
    let mut verdict = None;
    for line in BufReader::new(machine.stdout.take().expect("piped above")).lines() {
        let line = line.context("the guest printed bytes that are not text")?;
        println!("{}", line.trim_end());
        if line.trim_end() == "running 0 tests" {
            bail!("a test that is to be run in the guest has another name now");
        }
        verdict = line.trim_end().strip_prefix(VERDICT).map(str::to_owned).or(verdict);
    }
    machine.wait().context("cannot wait for qemu")?;
    match verdict.as_deref() {
        Some("0") => Ok(()),
        Some(code) => bail!("tests failed on the guest's kernel: exit {code}"),
        None => bail!("the guest ended before its tests did"),
    }
}
