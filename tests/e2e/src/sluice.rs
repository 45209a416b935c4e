//! `sluice run`, as a process of its own with a configuration of its own.

use core::{fmt, net::SocketAddr};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Admin, Client, Metrics, eventually, sluice_command};

/// How to start one.
#[derive(Clone, Debug)]
pub struct Setup {
    text: String,
    arguments: Vec<String>,
    /// A program and its arguments that runs it.
    under: Vec<String>,
}

impl Setup {
    /// With these listeners and clusters; `version` and `admin` are added.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), arguments: Vec::new(), under: Vec::new() }
    }

    /// One listener `web` at `web` that sends everything to the origins.
    pub fn simple(web: SocketAddr, origins: &[&dyn fmt::Display]) -> Self {
        Self::new(simple(web, origins))
    }

    /// One more argument or several.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// So many file descriptors and no more.
    #[must_use]
    pub fn files_max(self, files_max: u32) -> Self {
        self.under(&["prlimit", &format!("--nofile={files_max}:{files_max}")])
    }

    /// Run by another program, which is given with its arguments.
    #[must_use]
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Sluice {
        let folder = TempDir::with_prefix("sluice-").expect("a folder for the configuration");
        let mut sluice = self.launch(folder);
        eventually("sluice is ready", || {
            let ended = sluice.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "sluice ended at once ({ended:?}):\n{}", sluice.log());
            sluice.admin.try_ask("GET", "/ready", "").is_ok_and(|answer| answer.status() == 200)
        });
        sluice
    }

    /// Starts what is expected not to start; how it ended and what it said.
    #[track_caller]
    pub fn refused(self) -> (ExitStatus, String) {
        let folder = TempDir::with_prefix("sluice-").expect("a folder for the configuration");
        let mut sluice = self.launch(folder);
        let status = sluice.wait();
        (status, sluice.log())
    }

    fn launch(self, folder: TempDir) -> Sluice {
        // Whoever it runs as has to read its configuration again.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let file = folder.path().join("sluice.yaml");
        let socket = folder.path().join("admin.sock");
        let text = complete(&self.text, &socket);
        fs::write(&file, text).expect("the folder can be written");
        let log = File::create(folder.path().join("log")).expect("the folder can be written");
        let mut command = self.command();
        command.arg("run").arg("--config").arg(&file).args(&self.arguments).current_dir(folder.path());
        let standard_output = File::create(folder.path().join("stdout")).expect("the folder can be written");
        let spawned = command.stdin(Stdio::null()).stdout(standard_output).stderr(log).spawn();
        let child = spawned.expect("sluice can be started");
        Sluice { child, admin: Admin { socket }, file, folder }
    }

    fn command(&self) -> Command {
        let sluice = sluice_command();
        let [program, arguments @ ..] = &*self.under else { return sluice };
        let mut command = Command::new(program);
        command.args(arguments).arg(sluice.get_program());
        command
    }
}

/// One listener `web` at `web` that sends everything to the origins.
fn simple(web: SocketAddr, origins: &[&dyn fmt::Display]) -> String {
    let origins: Vec<_> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
    let origins = origins.join(", ");
    format!(
        "listeners:
  web: {{ bind: [\"{web}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: [{origins}] }}
"
    )
}

fn complete(text: &str, socket: &Path) -> String {
    let admin = if text.contains("\nadmin:") { String::new() } else { format!("admin: {{ bind: \"unix:{}\" }}\n", socket.display()) };
    format!("version: 1\n{}{admin}", text.replace("ADMIN_SOCKET", &socket.display().to_string()))
}

/// A running process; ends when dropped.
pub struct Sluice {
    child: Child,
    admin: Admin,
    file: PathBuf,
    folder: TempDir,
}

impl Sluice {
    /// Its admin API.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// All its metrics of this moment.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        self.admin.metrics()
    }

    /// Its configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that is its own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A whole configuration of these listeners and clusters, as [`Setup`] makes it.
    pub fn complete(&self, text: &str) -> String {
        complete(text, &self.admin.socket)
    }

    /// Replaces the configuration file in one step.
    pub fn replace(&self, text: &str) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, self.complete(text)).expect("the folder can be written");
        fs::rename(&draft, &self.file).expect("a file can be replaced");
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it wrote to its standard output.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("stdout")).unwrap_or_default()
    }

    /// The process that was started: it, or what it was put under.
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the process is there");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("sluice has ended", || {
            ended = self.child.try_wait().expect("a child can be waited for");
            ended.is_some()
        });
        ended.expect("waited for")
    }

    /// Its resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Waits until a connection to `address` is served.
    #[track_caller]
    pub fn await_listener(&self, address: SocketAddr) {
        eventually(format_args!("{address} answers"), || Client::try_connect(address).is_ok());
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            said(self);
        }
    }
}

#[expect(clippy::print_stderr, reason = "what a failing test has to say")]
fn said(sluice: &Sluice) {
    eprintln!("--- {} said:\n{}", sluice.file.display(), sluice.log());
}
