//! A control side that runs against workers who only note what they are told.
#![allow(clippy::allow_attributes, reason = "what one test binary leaves unused another uses")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use config::Snapshot;
use control::{Client, Doors, Ending, Engine, Handles, Options};
use stats::{Hub, Lines};

/// Long enough for anything on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The workers' part.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) refusing: AtomicBool,
    pub(crate) draining: AtomicBool,
    pub(crate) drained: AtomicBool,
    /// Applying takes as long as this is set.
    pub(crate) stuck: AtomicBool,
    pub(crate) applying: AtomicBool,
}

struct Workers {
    told: Arc<Told>,
    applied: mpsc::Sender<Arc<Snapshot>>,
}

impl Engine for Workers {
    fn apply(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), String> {
        self.told.applying.store(true, SeqCst);
        eventually("not stuck", || !self.told.stuck.load(SeqCst));
        if self.told.refusing.load(SeqCst) {
            return Err("listeners.web.bind: address in use".to_owned());
        }
        self.applied.send(Arc::clone(snapshot)).map_err(|error| error.to_string())
    }

    fn drain(&mut self) {
        self.told.draining.store(true, SeqCst);
    }

    fn is_drained(&mut self) -> bool {
        self.told.draining.load(SeqCst) && self.told.drained.load(SeqCst)
    }
}

pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) told: Arc<Told>,
    pub(crate) applied: mpsc::Receiver<Arc<Snapshot>>,
    /// The worker's end of the access log.
    pub(crate) lines: Option<Lines>,
    pub(crate) heartbeat: Arc<AtomicU64>,
    running: JoinHandle<Result<Ending, control::Error>>,
}

impl Scene {
    pub(crate) fn start(is_config_api: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let path = folder.path().join("sluice.yaml");
        fs::write(&path, text(&folder, port, &["10.0.0.1:80"])).unwrap();
        let candidate = control::read(&path).unwrap();
        let doors = Doors::open(&candidate.snapshot().admin).unwrap();
        let (hub, reader) = stats::stats();
        let (lines, lines_reader) = stats::lines();
        let told = Arc::new(Told::default());
        let (applied_to, applied) = mpsc::channel();
        let heartbeat = Arc::new(AtomicU64::new(0));
        let handles = Handles {
            candidate,
            doors,
            hub: hub.clone(),
            reader,
            lines: vec![lines_reader],
            heartbeats: vec![Arc::clone(&heartbeat)],
            engine: Box::new(Workers { told: Arc::clone(&told), applied: applied_to }),
            notices: Box::new(|| None),
            give_back: || (),
        };
        let options = Options { config: path, is_config_api, version: "test".to_owned() };
        let running = thread::spawn(|| control::run(options, handles));
        let scene = Self { folder, port, hub, told, applied, lines: Some(lines), heartbeat, running };
        eventually("ready", || scene.socket().ask("GET", "/ready", b"").is_ok_and(|answer| answer.status == 200));
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn socket(&self) -> Client {
        Client::Socket(self.path("admin.sock"))
    }

    pub(crate) fn port(&self) -> Client {
        Client::Port(self.port)
    }

    /// A configuration with these endpoints.
    pub(crate) fn text(&self, endpoints: &[&str]) -> String {
        text(&self.folder, self.port, endpoints)
    }

    /// The next snapshot the workers get: its endpoints.
    pub(crate) fn next_applied(&self) -> Vec<String> {
        let snapshot = self.applied.recv_timeout(LONG).expect("a configuration was applied");
        let cluster = snapshot.cluster_by_name("api").unwrap();
        cluster.endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect()
    }

    /// Drains and waits for the end.
    pub(crate) fn end(self) -> Ending {
        self.told.drained.store(true, SeqCst);
        self.socket().drain().unwrap();
        self.wait()
    }

    pub(crate) fn wait(self) -> Ending {
        self.running.join().unwrap().unwrap()
    }
}

/// Waits for something that is not told.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a test thread may sleep")]
        thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

fn text(folder: &tempfile::TempDir, port: SocketAddr, endpoints: &[&str]) -> String {
    let folder = folder.path().display();
    format!(
        r#"version: 1
listeners:
  web:
    bind: ["127.0.0.1:18080"]
    http: {{ sites: [ {{ hosts: ["*"], routes: [ {{ to: api }} ] }} ] }}
clusters:
  api: {{ endpoints: {endpoints:?} }}
admin: {{ bind: "unix:{folder}/admin.sock", metrics: "{port}" }}
access_log: {{ to: "{folder}/access.log" }}
"#
    )
}
