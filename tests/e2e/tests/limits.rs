//! When there is too much of something: others go on, memory stays bounded, it is counted, and it passes.
#![expect(clippy::print_stdout, reason = "these tests tell what was measured")]

use e2e::{Client, Origin, Setup, Sluice, allow_descriptors, alone, eventually, free_address};
use rustix::process::Signal;
use std::{net::SocketAddr, time::Duration};

/// Slow clients of each kind.
const SLOW: i64 = 9_000;
/// What all of them together may hold: of each, what is unsent and what was received last (64 KiB and 64 KiB).
const RESIDENT_BYTES_MAX: u64 = 9_000 * (128 << 10);

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

/// Slow clients, each doing what `begin` does and no more, and another one, which must not feel it. At first nobody's time is up, so that all
/// of them are there at once however long it took to connect them; then they are ended by `reason`, each when it has been slow for long enough.
fn endure(begin: impl Fn(&mut Client), reason: &str) {
    let _alone = alone();
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { request_head: 1h, idle: 1h, request: 1h } }");
    let sluice = setup.with(&["--workers", "1"]).start();
    let (mut other, slow) = crowd(web, &begin);
    let active = || sluice.metrics().sum("sluice_downstream_connections_active", &["listener=\"web\""]);
    eventually("all of them are there", || active() == SLOW + 1);
    for _ in 0..50 {
        assert_eq!(other.get("/bytes/2000").body.len(), 2_000);
    }
    let resident = sluice.resident_bytes();
    println!("{SLOW} beside {reason}: {} MiB resident", resident >> 20);
    assert!(resident < RESIDENT_BYTES_MAX, "{resident} bytes resident");
    drop(slow);
    eventually("their places are free", || active() == 1);
    drop((other, sluice));

    let (web, _origin, setup) = configured("defaults: { timeouts: { request_head: 2s, idle: 2s, request: 2s } }");
    let sluice = setup.with(&["--workers", "1"]).start();
    let (_other, _slow) = crowd(web, &begin);
    eventually("all of them are ended", || sluice.metrics().faults(reason) == SLOW);
    assert_eq!(Client::connect(web).get("/bytes/2000").body.len(), 2_000);
}

/// Slow clients, and one that is served all the time.
fn crowd(web: SocketAddr, begin: impl Fn(&mut Client)) -> (Client, Vec<Client>) {
    let mut other = Client::connect(web);
    let slow = (0..SLOW).map(|at| {
        let mut client = Client::connect(web);
        begin(&mut client);
        if at % 100 == 0 {
            assert_eq!(other.get("/bytes/2000").body.len(), 2_000, "another client is served");
        }
        client
    });
    let slow = slow.collect();
    (other, slow)
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

/// Each body that waits inside the kernel takes a pipe: when there are enough of those, the others go the ordinary way.
#[test]
fn ways_inside_the_kernel_run_out() {
    let _alone = alone();
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { idle: 1h } }");
    let sluice = setup.with(&["--workers", "1"]).start();
    let _stalled: Vec<_> = (0..400)
        .map(|_| {
            let mut client = Client::connect(web);
            client.send("GET /bytes/100000000 HTTP/1.1\r\nhost: test\r\n\r\n");
            client
        })
        .collect();
    eventually("they have run out", || sluice.metrics().sum("sluice_worker_lanes_full_total", &[]) > 0);
    assert_eq!(Client::connect(web).get("/bytes/1000000").body, e2e::pattern(1_000_000));
}

/// More connections than a worker takes at a time: those that it has not taken wait, whatever held it up.
#[test]
fn a_worker_that_was_held_up_resets_nobody() {
    let _alone = alone();
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { idle: 1h } }");
    let sluice = setup.with(&["--workers", "1"]).start();
    sluice.signal(Signal::STOP);
    let mut clients: Vec<_> = (0..3_000).map(|_| Client::connect(web)).collect();
    sluice.signal(Signal::CONT);
    all_served(&mut clients);
}

#[test]
fn many_idle_connections() {
    let _alone = alone();
    allow_descriptors();
    let (web, _origin, setup) = configured("defaults: { timeouts: { request_head: 1h, idle: 1h } }");
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
