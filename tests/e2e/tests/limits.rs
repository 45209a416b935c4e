//! When there is too much of something: others go on, memory stays bounded, it is counted, and it passes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does, and tell what was measured")]

use e2e::{Client, Origin, Setup, Sluice, eventually, free_address};
use std::{net::SocketAddr, time::Duration};

/// Slow clients of each kind.
const SLOW: i64 = 2_000;
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// Two descriptors for each client here and there; the test's own limit is the hard one.
fn allow_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

fn configured(more: &str) -> (SocketAddr, Origin, Setup) {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let text = format!(
        r#"
{more}
listeners:
  web: {{ bind: ["{web}"], LIMITS http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#
    );
    (web, origin, Setup::new(text.replace("LIMITS", if more.is_empty() { "limits: { connections: 10 }," } else { "" })))
}

fn all_served(clients: &mut [Client]) {
    for client in clients {
        assert_eq!(client.get("/").status(), 200);
    }
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let (web, _origin, setup) = configured("");
    let sluice = setup.with(&["--workers", "2"]).start();
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(web)).collect();
    all_served(&mut clients);
    for _ in 0..5 {
        assert!(Client::try_connect(web).and_then(|mut client| client.try_get("/")).is_err());
    }
    let metrics = sluice.metrics();
    assert_eq!(metrics.sum("sluice_downstream_connections_refused_total", &["reason=\"connection_limit\""]), 5);
    assert_eq!(metrics.faults("connection_limit"), 5);
    all_served(&mut clients);
    drop(clients);
    eventually("there is room again", || Client::try_connect(web).and_then(|mut client| client.try_get("/")).is_ok());
}

#[test]
fn descriptors_that_run_out() {
    let (web, _origin, setup) = configured("defaults: { timeouts: { connect: 1s } }");
    let sluice = setup.with(&["--workers", "1"]).files_max(64).start();
    let mut old = Client::connect(web);
    assert_eq!(old.get("/").status(), 200);
    // The kernel completes connections that the process cannot accept; they wait.
    let waiting: Vec<_> = (0..100).map(|_| Client::connect(web)).collect();
    let paused = |name| sluice.admin().try_ask("GET", "/metrics", "").ok().map(|answer| answer.text().contains(name));
    for _ in 0..50 {
        assert_eq!(old.get("/bytes/1000").status(), 200, "who is in is served");
    }
    drop(waiting);
    eventually("it is counted", || paused("sluice_worker_accept_paused_total").is_some());
    eventually("it has recovered", || Client::connect(web).try_get("/").is_ok_and(|response| response.status() == 200));
    assert!(sluice.metrics().sum("sluice_worker_accept_paused_total", &[]) > 0);
    assert_eq!(old.get("/").status(), 200);
}

/// Slow clients, each doing what `begin` does and no more; then everything that others may expect.
fn endure(begin: impl Fn(&mut Client), reason: &str) {
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { request_head: 3s, idle: 3s, request: 3s } }");
    let sluice = setup.with(&["--workers", "1"]).start();
    let mut other = Client::connect(web);
    let mut slow = Vec::new();
    for at in 0..SLOW {
        let mut client = Client::connect(web);
        begin(&mut client);
        slow.push(client);
        if at % 100 == 0 {
            assert_eq!(other.get("/bytes/2000").body.len(), 2_000, "another client is served");
        }
    }
    for _ in 0..50 {
        assert_eq!(other.get("/bytes/2000").body.len(), 2_000);
    }
    let resident = sluice.resident_bytes();
    println!("{SLOW} of {reason}: {} MiB resident", resident >> 20);
    assert!(resident < RESIDENT_BYTES_MAX, "{resident} bytes resident");
    eventually("all of them are closed", || {
        other.get("/");
        sluice.metrics().sum("sluice_downstream_connections_active", &[]) <= 1
    });
    assert!(sluice.metrics().faults(reason) >= SLOW * 9 / 10, "{}", sluice.metrics().faults(reason));
    assert_eq!(other.get("/bytes/2000").body.len(), 2_000);
}

#[test]
fn slow_heads() {
    endure(|client| client.send("GET / HTTP/1.1\r\nhost: te"), "request_head_timeout");
}

#[test]
fn slow_bodies() {
    endure(|client| client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\nsome"), "request_body_timeout");
}

#[test]
fn slow_readers() {
    endure(|client| client.send("GET /bytes/100000000 HTTP/1.1\r\nhost: test\r\n\r\n"), "idle_timeout");
}

#[test]
fn many_idle_connections() {
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { request_head: 60s, idle: 60s } }");
    let sluice: Sluice = setup.with(&["--workers", "1"]).start();
    let mut first = Client::connect(web);
    first.get("/");
    let before = sluice.resident_bytes();
    let mut idle: Vec<_> = (0..5_000).map(|_| Client::connect(web)).collect();
    all_served(&mut idle);
    let grown = sluice.resident_bytes().saturating_sub(before);
    println!("5000 idle connections: {} KiB more resident", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes");
    assert!(first.is_open_for(Duration::from_millis(10)));
    all_served(&mut idle);
    drop(idle);
    eventually("they are gone", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 1);
}
