//! The program as a test starts it: whatever was started ends with the test.
#![allow(clippy::allow_attributes, reason = "what one test binary leaves unused another uses")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough for anything on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// The program, not started yet.
pub(crate) fn sluice(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments);
    command
}

/// Runs it to its end.
pub(crate) fn output(arguments: &[&str]) -> (ExitStatus, String, String) {
    let Output { status, stdout, stderr } = sluice(arguments).output().unwrap();
    (status, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A process that ends with the test.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }

    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.has_ended());
        self.child.wait().unwrap()
    }

    /// What it has to say of itself, from `/proc`.
    pub(crate) fn status(&self, field: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap().trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// An origin on a port of its own choice.
pub(crate) fn origin(arguments: &[&str]) -> (Running, SocketAddr) {
    let mut command = sluice(&["origin", "--bind", "127.0.0.1:0"]);
    let mut running = Running::start(command.args(arguments).stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(running.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    (running, address)
}

/// A configuration in a folder of its own, and the port it listens on.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) web: SocketAddr,
}

impl Site {
    /// All requests to `origin`; `more` stands at the top.
    pub(crate) fn new(origin: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A name that others may look for a file in, when the process becomes somebody else.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let web = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "version: 1\n{more}\nadmin: {{ bind: \"unix:{}\" }}\nclusters: {{ origin: {{ endpoints: [\"{origin}\"] }} }}\nlisteners:\n  web: {{ \
             bind: [\"{web}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: origin }}] }}] }} }}\n",
            folder.path().join("admin.sock").display()
        );
        fs::write(folder.path().join("sluice.yaml"), text).unwrap();
        Self { folder, web }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn admin(&self) -> String {
        self.path("admin.sock").display().to_string()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = sluice(&["run", "--config"]);
        command.arg(self.path("sluice.yaml")).args(arguments).stderr(Stdio::from(fs::File::create(self.path("log")).unwrap()));
        command
    }

    /// Runs it until it serves.
    pub(crate) fn run(&self, arguments: &[&str]) -> Running {
        let mut running = Running::start(&mut self.command(arguments));
        eventually("ready", || {
            assert!(!running.has_ended(), "{}", self.log());
            ready(&self.admin())
        });
        running
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

fn ready(admin: &str) -> bool {
    control::Client::Socket(admin.into()).ask("GET", "/ready", b"").is_ok_and(|answer| answer.status == 200)
}

/// Status line and fields, and body, of one request on a connection of its own.
pub(crate) fn ask(to: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| answer.len().saturating_sub(4));
    let body = answer.split_off(answer.len().min(end + 4));
    (String::from_utf8_lossy(&answer).into_owned(), body)
}

/// A GET whose connection ends with it.
pub(crate) fn get(to: SocketAddr, path: &str) -> (String, Vec<u8>) {
    ask(to, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
