//! A thousand configurations under load, with connections that outlive all of them: nobody is harmed, and nothing of what was replaced stays.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]
#![expect(clippy::disallowed_methods, reason = "these tests live in real time")]

use e2e::{Client, Origin, Setup, Sluice, allow_descriptors, alone, free_address, pause};
use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Configurations, and streaming responses: one is begun after each.
const PUSHES: u32 = 1_000;
const PUSH_EVERY: Duration = Duration::from_millis(60);
/// Configurations before anything is measured: what the first ones cost stays, and is no growth.
const WARM_PUSHES: u32 = 50;
const IDLE: usize = 1_000;
/// Clusters and routes besides those under test: whoever keeps a whole configuration for a stream's sake keeps all of these.
const BYSTANDERS: u32 = 200;
/// What is resident is looked at so many times, and the least of it counts: reading a configuration takes memory for a moment.
const SAMPLES: u32 = 100;
/// So many versions further, everything is another.
const ALL_CHANGE: u32 = 5;
/// Time between two lines of a stream.
const TICK: Duration = Duration::from_secs(1);
const CLIENTS: usize = 4;
const PACE: Duration = Duration::from_millis(10);

/// Where everything is.
struct Scene {
    web: SocketAddr,
    second: SocketAddr,
    origins: [Origin; 3],
}

impl Scene {
    fn new() -> Self {
        Self { web: free_address(), second: free_address(), origins: ["amber", "birch", "cedar"].map(Origin::start) }
    }

    fn start(&self) -> Sluice {
        Setup::new(self.text(0)).with(&["--workers", "2", "--config-api"]).start()
    }

    /// Each version changes one thing of the one before, by turns: a header, the endpoints, a parameter of the listener, a second listener that
    /// comes or goes. Whoever counts by [`ALL_CHANGE`] changes all of them.
    fn text(&self, version: u32) -> String {
        let Self { web, second, origins } = self;
        let turn = (version as usize + 1) / 4;
        let (first, other) = (&origins[turn % 3], &origins[(turn + 1) % 3]);
        let (header, connections) = (header(version), 10_000 + (version + 2) / 4);
        let (mut routes, mut clusters) = (String::new(), String::new());
        for number in 0..BYSTANDERS {
            writeln!(routes, "            - {{ match: {{ path: /bystander-{number}/* }}, to: bystander-{number} }}").unwrap();
            writeln!(clusters, "  bystander-{number}: {{ endpoints: [\"192.0.2.1:80\"] }}").unwrap();
        }
        let more = if version.div_ceil(4) % 2 == 1 {
            format!("  second: {{ bind: [\"{second}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: 204 }}] }}] }} }}\n")
        } else {
            String::new()
        };
        format!(
            r#"
defaults: {{ timeouts: {{ connect: 1h, request: 1h, idle: 1h, request_head: 1h }} }}
listeners:
  web:
    bind: ["{web}"]
    limits: {{ connections: {connections} }}
    http:
      sites:
        - hosts: ["*"]
          routes:
{routes}            - name: app
              to: app
              response: {{ headers: {{ set: {{ x-version: "{header}" }} }} }}
{more}clusters:
{clusters}  app: {{ endpoints: ["{first}", "{other}"] }}
"#
        )
    }
}

/// The header of a version.
fn header(version: u32) -> u32 {
    version / 4 * 4
}

/// A streaming response that has begun.
struct Streaming {
    client: Client,
    began: Instant,
    origin: String,
}

impl Streaming {
    fn begin(web: SocketAddr, version: u32) -> Self {
        let mut client = Client::connect(web);
        let began = Instant::now();
        client.send(format!("GET /stream/1000000/{} HTTP/1.1\r\nhost: test\r\n\r\n", TICK.as_millis()));
        let head = client.head_response();
        assert_eq!((head.status(), version_of(head.field("x-version"))), (200, header(version)));
        Self { client, began, origin: head.field("x-origin").unwrap().to_owned() }
    }

    /// Reads all that has come and at least one line that was written after `now`; each line must be the next one.
    fn check(&mut self, now: Instant) {
        // Line `n` is written `n` ticks after the request at the soonest.
        let last = now.duration_since(self.began).as_secs() / TICK.as_secs() + 1;
        let (mut text, mut next) = (String::new(), 0);
        while next <= last {
            let chunk = self.client.chunk();
            assert!(!chunk.is_empty(), "the stream has ended");
            text += std::str::from_utf8(&chunk).unwrap();
            while let Some((line, rest)) = text.split_once('\n') {
                assert_eq!(line, format!("{} {next}", self.origin));
                next += 1;
                text = rest.to_owned();
            }
        }
    }
}

fn version_of(field: Option<&str>) -> u32 {
    field.unwrap().parse().unwrap()
}

fn put(sluice: &Sluice, text: &str) {
    let answer = sluice.admin().ask("PUT", "/config", &sluice.complete(text));
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

/// Requests on one connection until it is over: none fails, none closes the connection, none gets an older configuration than the one before.
fn load(web: SocketAddr, over: &AtomicBool, requests: &AtomicU64) {
    let mut client = Client::connect(web);
    let mut seen = 0;
    while !over.load(Relaxed) {
        let response = client.try_get("/bytes/200").expect("no request fails and no connection is closed");
        let version = version_of(response.field("x-version"));
        assert_eq!((response.status(), response.field("connection")), (200, None), "{}", response.text());
        assert!(version >= seen, "version {version} after {seen}");
        seen = version;
        requests.fetch_add(1, Relaxed);
        pause(PACE);
    }
}

/// What a run came to.
struct Outcome {
    resident: u64,
    took: Duration,
    slowest: Duration,
    requests: u64,
}

/// A run from the first connection to the last check; with no pushes it is the same but for the pushes.
fn run(pushing: bool) -> Outcome {
    let scene = Scene::new();
    let sluice = scene.start();
    let (over, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load(scene.web, &over, &requests));
        }
        // The load must end when a check panics, or the test would not.
        let pushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| push(&scene, &sluice, pushing)));
        over.store(true, Relaxed);
        let outcome = pushed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Outcome { requests: requests.load(Relaxed), ..outcome }
    })
}

/// The stage is set, then a stream is begun after each push.
fn push(scene: &Scene, sluice: &Sluice, pushing: bool) -> Outcome {
    for version in 1..=WARM_PUSHES {
        put(sluice, &scene.text(version));
    }
    let mut idle: Vec<_> = (0..IDLE).map(|_| Client::connect(scene.web)).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status(), 200);
    }
    let (begin, mut slowest, mut version) = (Instant::now(), Duration::ZERO, WARM_PUSHES);
    let (mut streams, mut resident) = (Vec::new(), u64::MAX);
    for number in 0..PUSHES {
        // A pace, not a wait: where the machine is slower, the pushes follow one another at once.
        pause((begin + PUSH_EVERY * number).saturating_duration_since(Instant::now()));
        if pushing {
            version += 1;
            let since = Instant::now();
            put(sluice, &scene.text(version));
            slowest = slowest.max(since.elapsed());
        }
        streams.push(Streaming::begin(scene.web, version));
        if number >= PUSHES - SAMPLES {
            resident = resident.min(sluice.resident_bytes());
        }
    }
    let took = begin.elapsed();
    let now = Instant::now();
    for stream in &mut streams {
        stream.check(now);
    }
    for client in &mut idle {
        let response = client.get("/");
        assert_eq!((response.status(), version_of(response.field("x-version"))), (200, header(version)));
    }
    let metrics = sluice.metrics();
    assert_eq!(metrics.sum("sluice_config_applied_total", &[]), i64::from(version));
    assert_eq!(metrics.sum("sluice_config_rejected_total", &[]), 0);
    let connections = i64::try_from(CLIENTS + idle.len() + streams.len()).unwrap();
    assert_eq!(metrics.sum("sluice_downstream_connections_active", &["listener=\"web\""]), connections);
    Outcome { resident, took, slowest, requests: 0 }
}

/// With streams: they cost memory too, and each keeps the route and the cluster it began with. So what pushes cost is seen against a run
/// that differs in nothing but them.
#[test]
fn pushes_under_streams() {
    let _alone = alone();
    allow_descriptors();
    // Memory in pieces of 2 MiB would hide what is looked for.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let (still, pushed) = thread::scope(|scope| {
        let still = scope.spawn(|| run(false));
        let pushed = run(true);
        (still.join().unwrap(), pushed)
    });
    let (kibibytes, of) = (pushed.resident >> 10, still.resident >> 10);
    println!(
        "{PUSHES} pushes in {:?} (slowest {:?}), {} requests beside them: {kibibytes} KiB resident, {of} KiB without pushes",
        pushed.took, pushed.slowest, pushed.requests
    );
    assert!(pushed.resident < still.resident + still.resident / 20, "{kibibytes} KiB against {of} KiB");
}

/// Without streams nothing at all may stay of what was replaced.
#[test]
fn pushes_leave_nothing_behind() {
    let _alone = alone();
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let scene = Scene::new();
    let sluice = scene.start();
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(scene.web)).collect();
    let (mut before, mut after) = (u64::MAX, u64::MAX);
    for version in 1..=WARM_PUSHES + SAMPLES + PUSHES {
        put(&sluice, &scene.text(version * ALL_CHANGE));
        // Both workers use what they were given.
        for client in &mut clients {
            let response = client.get("/");
            assert_eq!(response.status(), 200, "{}", response.text());
            assert_eq!(version_of(response.field("x-version")), header(version * ALL_CHANGE));
        }
        if (WARM_PUSHES..WARM_PUSHES + SAMPLES).contains(&version) {
            before = before.min(sluice.resident_bytes());
        } else if version > PUSHES {
            after = after.min(sluice.resident_bytes());
        }
    }
    println!("{PUSHES} pushes: {} KiB resident before, {} KiB after", before >> 10, after >> 10);
    assert!(after < before + before / 100, "{} KiB, then {} KiB", before >> 10, after >> 10);
}
