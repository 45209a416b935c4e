//! Configurations replaced under load: each comes into force, no request fails, no connection is closed.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "these tests live in real time, and tell what was measured")]

use e2e::{Client, Origin, Setup, Signal, Sluice, eventually, free_address, pause};
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// A configuration that says its number in every response.
struct Versions {
    web: SocketAddr,
    second: SocketAddr,
    origins: [Origin; 3],
}

impl Versions {
    fn new() -> Self {
        Self { web: free_address(), second: free_address(), origins: ["amber", "birch", "cedar"].map(Origin::start) }
    }

    /// Each version has another header, other endpoints, another parameter of its listener, and every second one another listener.
    fn text(&self, version: u32) -> String {
        let Self { web, second, origins } = self;
        let (first, other) = (&origins[version as usize % 3], &origins[(version as usize + 1) % 3]);
        let connections = 10_000 + version;
        let more = if version % 2 == 1 {
            format!("  second: {{ bind: [\"{second}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: 204 }}] }}] }} }}\n")
        } else {
            String::new()
        };
        format!(
            r#"
listeners:
  web:
    bind: ["{web}"]
    limits: {{ connections: {connections} }}
    http:
      sites:
        - hosts: ["*"]
          routes:
            - to: app
              response: {{ headers: {{ set: {{ x-version: "{version}" }} }} }}
{more}clusters:
  app: {{ endpoints: ["{first}", "{other}"] }}
"#
        )
    }

    fn start(&self) -> Sluice {
        Setup::new(self.text(0)).with(&["--workers", "2"]).start()
    }
}

/// What clients under load have seen.
#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    /// The last version that any saw.
    version: AtomicU32,
    is_over: AtomicBool,
}

const CLIENTS: usize = 4;
const PACE: Duration = Duration::from_millis(4);

/// One of the clients: one connection, some 250 requests a second. Whatever fails panics, a connection that is closed included.
fn client(web: SocketAddr, tally: &Tally) {
    let mut client = Client::connect(web);
    while !tally.is_over.load(Relaxed) {
        let response = client.try_get("/bytes/200").expect("no request fails and no connection is closed");
        assert_eq!(response.status(), 200, "{}", response.text());
        assert_eq!(response.field("connection"), None);
        tally.requests.fetch_add(1, Relaxed);
        tally.version.store(response.field("x-version").unwrap().parse().unwrap(), Relaxed);
        pause(PACE);
    }
}

/// Makes changes under load; gives how long each took until it was seen.
fn under_load(web: SocketAddr, changes: impl FnOnce(&Tally)) {
    let tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(web, &tally));
        }
        eventually("the load is on", || tally.requests.load(Relaxed) > 100);
        // The clients must end when a change panics, or the test would not.
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| changes(&tally)));
        tally.is_over.store(true, Relaxed);
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Waits until clients see a version; gives how long that took.
fn await_version(tally: &Tally, version: u32, since: Instant) -> Duration {
    eventually(format_args!("version {version} is seen"), || tally.version.load(Relaxed) == version);
    println!("version {version} was seen after {:?}", since.elapsed());
    since.elapsed()
}

#[test]
fn six_changes_under_load() {
    let versions = Versions::new();
    let sluice = versions.start();
    let mut idle = Client::connect(versions.web);
    idle.get("/");
    let mut took = Vec::new();
    under_load(versions.web, |tally| {
        for version in 1..=6 {
            let since = Instant::now();
            if version % 2 == 1 {
                fs::write(sluice.file(), sluice.complete(&versions.text(version))).unwrap();
            } else {
                sluice.replace(&versions.text(version));
            }
            took.push(await_version(tally, version, since));
            let second = Client::try_connect(versions.second).and_then(|mut client| client.try_get("/"));
            assert_eq!(second.is_ok(), version % 2 == 1, "the second listener of version {version}: {second:?}");
            pause(Duration::from_millis(100));
        }
    });
    // Far more than it takes, and most of them only: this machine may be busy with something else for once.
    took.sort_unstable();
    assert!(took[3] < Duration::from_secs(1), "{took:?}");
    assert_eq!(idle.get("/").field("x-version"), Some("6"), "an idle connection stays and gets the new configuration");
    let metrics = sluice.metrics();
    assert_eq!(metrics.sum("sluice_config_rejected_total", &[]), 0);
    assert_eq!(metrics.sum("sluice_downstream_connections_total", &["listener=\"web\""]), 5);
    assert_eq!(metrics.sum("sluice_config_generation", &[]), 7);
}

/// The size that a whole edge has. What it takes is printed: how fast this machine is proves nothing.
#[test]
fn a_large_configuration_under_load() {
    const ROUTES: u32 = 5_000;
    const CLUSTERS: u32 = 10_000;
    let versions = Versions::new();
    let text = |version: u32| {
        let (mut routes, mut clusters) = (String::new(), String::new());
        for number in 0..ROUTES {
            writeln!(routes, "            - {{ match: {{ path: /service-{number}/api/* }}, to: cluster-{number} }}").unwrap();
        }
        for number in 0..CLUSTERS {
            let (high, low, port) = (number / 256, number % 256, if number == 4_000 { 8_000 + version } else { 8_000 });
            writeln!(
                clusters,
                "  cluster-{number}: {{ endpoints: [10.0.{high}.{low}:{port}, 10.1.{high}.{low}:8000], balance: least_request }}"
            )
            .unwrap();
        }
        let small = versions.text(version).replace("            - to: app", &format!("{routes}            - to: app"));
        small + &clusters
    };
    let sluice = Setup::new(text(0)).with(&["--workers", "2"]).start();
    let draft = sluice.file().with_extension("draft");
    let mut took = Vec::new();
    under_load(versions.web, |tally| {
        for version in 1..=10 {
            fs::write(&draft, sluice.complete(&text(version))).unwrap();
            pause(Duration::from_millis(300));
            let since = Instant::now();
            fs::rename(&draft, sluice.file()).unwrap();
            took.push(await_version(tally, version, since));
        }
    });
    took.sort_unstable();
    println!("{CLUSTERS} clusters and {ROUTES} routes, from rename to the first answer: median {:?}, slowest {:?}", took[5], took[9]);
    assert_eq!(sluice.metrics().sum("sluice_config_rejected_total", &[]), 0);
    assert_eq!(sluice.metrics().sum("sluice_downstream_connections_total", &["listener=\"web\""]), 4);
}

/// A folder of configurations behind a symlink, as Kubernetes mounts it.
#[test]
fn a_folder_that_is_swapped() {
    let versions = Versions::new();
    let root = tempfile::tempdir().unwrap();
    let folder = |version: u32| -> PathBuf { root.path().join(format!("version-{version}")) };
    let socket = root.path().join("admin.sock");
    let text = |version| format!("version: 1\n{}admin: {{ bind: \"unix:{}\" }}\n", versions.text(version), socket.display());
    for version in 0..=3 {
        fs::create_dir(folder(version)).unwrap();
        fs::write(folder(version).join("sluice.yaml"), text(version)).unwrap();
    }
    let current = root.path().join("current");
    symlink(folder(0), &current).unwrap();
    let mut child = e2e::sluice_command();
    let child = child.arg("run").arg("--config").arg(current.join("sluice.yaml")).stderr(std::process::Stdio::null()).spawn().unwrap();
    let _child = Ends(child);
    eventually("it serves", || Client::try_connect(versions.web).is_ok());
    under_load(versions.web, |tally| {
        for version in 1..=3 {
            let since = Instant::now();
            symlink(folder(version), root.path().join("next")).unwrap();
            fs::rename(root.path().join("next"), &current).unwrap();
            await_version(tally, version, since);
        }
    });
}

struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_bad_file_changes_nothing() {
    let versions = Versions::new();
    let sluice = versions.start();
    let hash = |text: &str| text.split("\"hash\":\"").nth(1).unwrap()[..64].to_owned();
    let config = || sluice.admin().ask("GET", "/config", "").text();
    let before = hash(&config());
    under_load(versions.web, |tally| {
        let rejected = || sluice.metrics().sum("sluice_config_rejected_total", &[]);
        let bad = [
            "listeners: [",
            "listeners:\n  web: { bind: [\"*:1\"], htp: {} }\n",
            // Refused only when its socket is opened: all or nothing.
            &versions.text(1).replace("clusters:", "  taken: { bind: [\"192.0.2.1:1\"], tcp: { to: app } }\nclusters:"),
        ];
        for (at, text) in bad.iter().enumerate() {
            sluice.replace(text);
            eventually("it is rejected", || rejected() > i64::try_from(at).unwrap());
            assert_eq!(tally.version.load(Relaxed), 0);
            let config = config();
            assert_eq!(hash(&config), before, "the one in force is told");
            assert!(!config.contains("\"refused\":null"), "and why the other is not: {config}");
        }
        let since = Instant::now();
        sluice.replace(&versions.text(2));
        await_version(tally, 2, since);
        eventually("nothing is refused any more", || config().contains("\"refused\":null"));
        assert_ne!(hash(&config()), before);
    });
}

/// A writer that is still at it: what is there is a configuration, but not the one that is meant.
#[test]
fn a_half_written_file_is_never_applied() {
    let versions = Versions::new();
    let sluice = versions.start();
    let mut client = Client::connect(versions.web);
    let mut file = fs::File::create(sluice.file()).unwrap();
    // All of version 1 and then a listener more: every prefix that ends with a whole line could be taken for a configuration.
    let text = sluice.complete(&versions.text(1)) + "x-end: here\n";
    for line in text.lines() {
        use std::io::Write as _;
        writeln!(file, "{line}").unwrap();
        assert_eq!(client.get("/").field("x-version"), Some("0"));
        pause(Duration::from_millis(10));
    }
    assert_eq!(sluice.metrics().sum("sluice_config_rejected_total", &[]), 0, "it was not even read");
    drop(file);
    eventually("it is applied when it is closed", || client.get("/").field("x-version") == Some("1"));
}

#[test]
fn a_signal_reloads() {
    let versions = Versions::new();
    let sluice = versions.start();
    let applied = || sluice.metrics().sum("sluice_config_generation", &[]);
    let mut client = Client::connect(versions.web);
    sluice.signal(Signal::HUP);
    sluice.replace(&versions.text(1));
    sluice.signal(Signal::HUP);
    eventually("it is applied", || client.get("/").field("x-version") == Some("1"));
    assert_eq!(applied(), 2, "what has not changed is not applied again");
    assert_eq!(sluice.admin().ask("POST", "/reload", "").status(), 200);
}

#[test]
fn a_configuration_is_put_only_where_that_is_allowed() {
    let versions = Versions::new();
    let sluice = versions.start();
    let text = sluice.complete(&versions.text(1));
    let refused = sluice.admin().ask("PUT", "/config", &text);
    assert_eq!(refused.status(), 409, "{}", refused.text());
    assert_eq!(Client::connect(versions.web).get("/").field("x-version"), Some("0"));
    drop(sluice);

    let sluice = Setup::new(versions.text(0)).with(&["--config-api"]).start();
    let text = sluice.complete(&versions.text(1));
    let put = sluice.admin().ask("PUT", "/config", &text);
    assert_eq!(put.status(), 200, "{}", put.text());
    let mut client = Client::connect(versions.web);
    assert_eq!(client.get("/").field("x-version"), Some("1"), "it is in force when the answer comes");
    assert_eq!(fs::read_to_string(sluice.file()).unwrap(), text, "and in the file");

    let refused = sluice.admin().ask("PUT", "/config", "version: 1\nlisteners: { web: {} }\n");
    assert_eq!(refused.status(), 422);
    assert!(refused.text().contains("bind"), "{}", refused.text());
    assert_eq!(fs::read_to_string(sluice.file()).unwrap(), text, "what is refused is not in the file");
    assert_eq!(client.get("/").field("x-version"), Some("1"));
}

#[test]
fn a_removed_listener_finishes_what_it_is_at() {
    let versions = Versions::new();
    let sluice = versions.start();
    let mut busy = Client::connect(versions.web);
    let mut idle = Client::connect(versions.web);
    idle.get("/");
    busy.send("GET /delay/500 HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it is under way", || sluice.metrics().sum("sluice_requests_active", &[]) == 1);
    sluice.replace(&format!(
        "listeners:\n  other: {{ bind: [\"{}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: 204 }}] }}] }} }}\n",
        versions.second
    ));
    assert_eq!(busy.response().status(), 200);
    assert!(busy.is_closed() && idle.is_closed());
    eventually("nobody listens there", || Client::try_connect(versions.web).is_err());
    assert_eq!(Client::connect(versions.second).get("/").status(), 204);
}
