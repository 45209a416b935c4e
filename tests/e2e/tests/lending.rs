//! Idle connections to endpoints, shared by workers that share nothing else: two of them need hardly more than one.
#![expect(clippy::print_stdout, reason = "these tests tell what was measured")]

use e2e::{Client, Origin, Setup, eventually, free_address, run};
use std::net::{Ipv4Addr, SocketAddr};

const ENDPOINTS: u8 = 60;
const CONNECTIONS: &str = "64";

/// What a load left behind.
struct Outcome {
    requests: i64,
    connects: i64,
    sockets: i64,
}

fn load(web: SocketAddr, duration: &str) {
    let output = run("wrk", &["--threads", "1", "--connections", CONNECTIONS, "--duration", duration, &format!("http://{web}/")]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
}

/// One origin, which is an endpoint at each of its many addresses.
fn under_load(workers: &str) -> Outcome {
    let (web, place) = (free_address(), free_address());
    let _origin = Origin::start_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, place.port())), "amber");
    let endpoints: Vec<_> = (1..=ENDPOINTS).map(|host| SocketAddr::from(([127, 0, 0, host], place.port()))).collect();
    let endpoints: Vec<&dyn std::fmt::Display> = endpoints.iter().map(|endpoint| endpoint as &dyn std::fmt::Display).collect();
    let sluice = Setup::simple(web, &endpoints).with(&["--workers", workers]).start();
    load(web, "2s");
    let before = sluice.metrics();
    load(web, "4s");
    let after = sluice.metrics();
    let during = |name: &str| after.sum(name, &[]) - before.sum(name, &[]);
    let (requests, connects) = (during("sluice_upstream_requests_total"), during("sluice_upstream_connects_total"));
    let taken = during("sluice_upstream_taken_total");
    // The gauge is set once a second; what is idle stays for a minute.
    let mut sockets = 0;
    eventually("what is open is told", || {
        let metrics = sluice.metrics();
        sockets = metrics.sum("sluice_upstream_connections_active", &[]);
        sockets >= i64::from(ENDPOINTS) && sockets <= metrics.sum("sluice_upstream_connects_total", &[])
    });
    assert_eq!(Client::connect(web).get("/").status(), 200);
    println!("{workers} workers: {requests} requests, {connects} connects, {taken} taken over, {sockets} sockets open");
    Outcome { requests, connects, sockets }
}

#[test]
fn two_workers_need_hardly_more_connections_than_one() {
    let (one, two) = (under_load("1"), under_load("2"));
    assert!(two.requests > 1_000, "{}", two.requests);
    assert!(two.connects * 100 < two.requests, "{} connects for {} requests", two.connects, two.requests);
    assert!(two.sockets * 4 <= one.sockets * 5, "{} sockets, one worker has {}", two.sockets, one.sockets);
}
