//! What an operator does with it: ending, logs, the admin API, several workers, several processes.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Client, Origin, Setup, Signal, Sluice, eventually, free_address, run};
use rustix::process::{Pid, geteuid, kill_process};
use std::{fs, net::SocketAddr, thread, time::Duration};

fn one() -> (SocketAddr, Origin, Sluice) {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let sluice = Setup::simple(web, &[&origin]).with(&["--workers", "2"]).start();
    (web, origin, sluice)
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    type Start = fn(&Sluice);
    let by_signal: Start = |sluice| sluice.signal(Signal::TERM);
    let by_admin: Start = |sluice| assert_eq!(sluice.admin().ask("POST", "/drain", "").status(), 202);
    for start in [by_signal, by_admin] {
        let (web, _origin, mut sluice) = one();
        let mut idle = Client::connect(web);
        assert_eq!(idle.get("/").status(), 200);
        let mut busy = Client::connect(web);
        busy.send("GET /delay/700 HTTP/1.1\r\nhost: test\r\n\r\n");
        eventually("it is under way", || sluice.metrics().sum("sluice_requests_active", &[]) == 1);
        start(&sluice);
        assert!(idle.is_closed(), "an idle connection ends at once");
        let response = busy.response();
        assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
        assert!(busy.is_closed());
        assert!(sluice.wait().success(), "{}", sluice.log());
        assert!(Client::try_connect(web).is_err(), "nobody listens");
    }
}

#[test]
fn a_second_stop_ends_at_once() {
    let (web, _origin, mut sluice) = one();
    let mut busy = Client::connect(web);
    busy.send("GET /delay/60000 HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it is under way", || sluice.metrics().sum("sluice_requests_active", &[]) == 1);
    sluice.signal(Signal::TERM);
    eventually("it drains", || sluice.admin().ask("GET", "/ready", "").status() == 503);
    sluice.signal(Signal::TERM);
    assert!(sluice.wait().success());
}

fn logging(format: &str) -> (SocketAddr, Origin, Sluice) {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let text = format!(
        r#"
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ name: all, to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
access_log: {{ to: access.log, format: {format}, fields: [method, host, path, status, reason, response_bytes, route, cluster, endpoint, user_agent, attempts] }}
"#
    );
    (web, origin, Setup::new(text).start())
}

#[test]
fn requests_are_logged_and_logs_are_rotated() {
    let (web, origin, sluice) = logging("text");
    let log = |name: &str| fs::read_to_string(sluice.folder().join(name)).unwrap_or_default();
    let mut client = Client::connect(web);
    client.send("GET /bytes/12?q=1 HTTP/1.1\r\nhost: shop.test\r\nuser-agent: a \"b\"\r\n\r\n");
    client.response();
    let line = format!("GET shop.test /bytes/12?q=1 200 - 12 all app {origin} \"a \\\"b\\\"\" 1\n");
    eventually("the line is written", || log("access.log") == line);

    fs::rename(sluice.folder().join("access.log"), sluice.folder().join("access.log.1")).unwrap();
    sluice.signal(Signal::USR1);
    eventually("lines are in the new file", || {
        client.get("/status/500");
        log("access.log").starts_with("GET test /status/500 500 - ")
    });

    fs::rename(sluice.folder().join("access.log"), sluice.folder().join("access.log.2")).unwrap();
    assert_eq!(sluice.admin().ask("POST", "/logs/reopen", "").status(), 202);
    eventually("lines are in the new file", || {
        assert!(Client::connect(web).try_get("/die").is_err());
        log("access.log").contains(" 200 upstream_reset ")
    });
    assert!(log("access.log.1").starts_with(&line));
    assert_eq!(sluice.metrics().sum("sluice_log_dropped_total", &[]), 0);
}

#[test]
fn requests_are_logged_as_json() {
    let (web, origin, sluice) = logging("json");
    let mut client = Client::connect(web);
    client.send("GET /bytes/12 HTTP/1.1\r\nhost: shop.test\r\nuser-agent: a \"b\"\r\n\r\n");
    client.response();
    let line = format!(
        "{{\"method\":\"GET\",\"host\":\"shop.test\",\"path\":\"/bytes/12\",\"status\":200,\"reason\":null,\"response_bytes\":12,\"route\":\"all\",\
         \"cluster\":\"app\",\"endpoint\":\"{origin}\",\"user_agent\":\"a \\\"b\\\"\",\"attempts\":1}}\n"
    );
    let log = || fs::read_to_string(sluice.folder().join("access.log")).unwrap_or_default();
    eventually("the line is written", || !log().is_empty());
    assert_eq!(log(), line);
}

#[test]
fn a_full_disk_holds_up_no_request() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let text = format!(
        r#"
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
access_log: /dev/full
"#
    );
    let sluice = Setup::new(text).start();
    let mut client = Client::connect(web);
    let failed = || sluice.metrics().sum("sluice_log_write_failures_total", &["reason=\"full\""]);
    eventually("it is counted", || {
        assert_eq!(client.get("/").status(), 200);
        failed() > 1
    });
}

#[test]
fn every_request_is_logged_once() {
    let (web, _origin, sluice) = logging("text");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(web);
                (0..500).for_each(|_| assert_eq!(client.get("/").status(), 200));
            });
        }
    });
    let lines = || fs::read_to_string(sluice.folder().join("access.log")).unwrap_or_default().lines().count();
    eventually("all are written", || lines() == 2_000);
}

#[test]
fn the_admin_api_lets_each_do_what_it_may() {
    let (web, metrics, origin) = (free_address(), free_address(), Origin::start("amber"));
    let text = format!(
        r#"
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
admin: {{ bind: "unix:ADMIN_SOCKET", metrics: "{metrics}" }}
"#
    );
    let sluice = Setup::new(text).start();
    Client::connect(web).get("/");
    let paths = ["/", "/ready", "/metrics", "/stats", "/config", "/clusters", "/listeners"];
    for path in paths {
        assert_eq!(sluice.admin().ask("GET", path, "").status(), 200, "{path}");
        assert_eq!(sluice.admin().ask("DELETE", path, "").status(), 405, "{path}");
        assert_eq!(Client::connect(metrics).get_of("localhost", path).status(), 200, "{path}");
        assert_eq!(Client::connect(metrics).get_of("evil.test", path).status(), 403, "{path}");
    }
    assert_eq!(sluice.admin().ask("GET", "/nothing", "").status(), 404);
    for path in ["/drain", "/reload", "/logs/reopen"] {
        assert_eq!(sluice.admin().ask("GET", path, "").status(), 405, "{path}");
        let mut client = Client::connect(metrics);
        client.send(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(client.response().status(), 403, "{path}");
    }
    let mut client = Client::connect(metrics);
    client.send("PUT /config HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 403);
    assert_eq!(sluice.admin().ask("GET", "/ready", "").status(), 200, "nothing of this drained it");

    let socket = fs::metadata(sluice.folder().join("admin.sock")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&socket.permissions()) & 0o777, 0o600);
    assert!(sluice.admin().ask("GET", "/clusters", "").text().contains(&origin.to_string()));
    assert!(sluice.admin().ask("GET", "/listeners", "").text().contains(&web.to_string()));
}

#[test]
fn workers_share_idle_connections() {
    let (web, origins) = (free_address(), (0..20).map(|at| Origin::start(&format!("origin-{at}"))).collect::<Vec<_>>());
    let origins: Vec<&dyn std::fmt::Display> = origins.iter().map(|origin| origin as &dyn std::fmt::Display).collect();
    let sluice = Setup::simple(web, &origins).with(&["--workers", "2"]).start();
    let load = |duration: &str| {
        let output = run("wrk", &["--threads", "1", "--connections", "16", "--duration", duration, &format!("http://{web}/")]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    };
    load("1s");
    let before = sluice.metrics();
    load("2s");
    let after = sluice.metrics();
    let during = |name: &str| after.sum(name, &[]) - before.sum(name, &[]);
    let (requests, connects) = (during("sluice_upstream_requests_total"), during("sluice_upstream_connects_total"));
    println!("{requests} requests, {connects} connects, {} taken over", during("sluice_upstream_taken_total"));
    assert!(requests > 1_000, "{requests}");
    assert!(connects < requests / 100, "{connects} connects for {requests} requests");
    // Two workers of 16 connections in all: never more of them to one endpoint.
    assert!(after.sum("sluice_upstream_connects_total", &[]) <= 20 * 16);
}

#[test]
fn a_second_process_takes_nothing_of_the_first() {
    let (web, origin, sluice) = one();
    let (status, said) = Setup::simple(web, &[&origin]).refused();
    assert!(!status.success() && said.contains(&web.to_string()), "{said}");

    // The same configuration file, or the same name.
    let mut again = e2e::sluice_command();
    let output = again.arg("run").arg("--config").arg(sluice.file()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another sluice"), "{said}");

    let name = format!("test-{web}");
    let _named = Setup::simple(free_address(), &[&origin]).with(&["--name", &name]).start();
    let (status, said) = Setup::simple(free_address(), &[&origin]).with(&["--name", &name]).refused();
    assert!(!status.success() && said.contains(&name), "{said}");
    assert_eq!(Client::connect(web).get("/").text(), "amber\n", "the first one serves on");
}

/// The kernel closes what a ring holds only after the process has ended: the next one must not stumble over it.
#[test]
fn the_next_process_takes_over_at_once() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    for signal in [Signal::KILL, Signal::TERM, Signal::KILL, Signal::TERM] {
        let mut sluice = Setup::simple(web, &[&origin]).with(&["--workers", "2"]).start();
        let mut clients: Vec<_> = (0..20).map(|_| Client::connect(web)).collect();
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "amber\n");
        }
        sluice.signal(signal);
        sluice.wait();
    }
}

#[test]
fn a_bad_start_says_why() {
    let check = |setup: Setup, words: &[&str]| {
        let (status, said) = setup.refused();
        assert!(!status.success(), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
    };
    let (web, nowhere) = (free_address(), "127.0.0.1:9");
    check(Setup::new("listeners:\n  web: { bin: [\"*:1\"] }\nclusters: {}\n"), &["sluice.yaml", "bin", "bind"]);
    check(Setup::simple(web, &[&nowhere]).with(&["--without", "gravity"]), &["gravity", "defer_taskrun"]);
    check(Setup::simple("192.0.2.1:80".parse().unwrap(), &[&nowhere]), &["192.0.2.1:80"]);
    check(
        Setup::new(format!("user: nobody-of-that-name\nlisteners:\n  web: {{ bind: [\"{web}\"], http: {{ sites: [] }} }}\n")),
        &["nobody-of-that-name"],
    );
}

#[test]
fn a_peer_that_is_slow_does_not_hold_up_the_end() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let mut sluice = Setup::new(format!(
        r#"
defaults: {{ timeouts: {{ drain: 500ms }} }}
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#
    ))
    .start();
    let mut client = Client::connect(web);
    client.send("GET /stream/1000/100 HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it is under way", || sluice.metrics().sum("sluice_requests_active", &[]) == 1);
    sluice.signal(Signal::TERM);
    assert!(sluice.wait().success());
    assert!(client.try_response().is_err(), "it was cut, and the client can see that");
    assert!(client.is_closed() || !client.is_open_for(Duration::from_millis(1)));
}

/// Given its first request even now, but not for ever.
#[test]
fn a_client_that_never_asks_does_not_hold_up_the_end() {
    let (web, origin) = (free_address(), Origin::start("amber"));
    let mut sluice = Setup::new(format!(
        r#"
defaults: {{ timeouts: {{ drain: 1s, idle: 1h }} }}
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#
    ))
    .start();
    let (mut late, silent) = (Client::connect(web), Client::connect(web));
    eventually("they are there", || sluice.metrics().sum("sluice_downstream_connections_active", &["listener=\"web\""]) == 2);
    sluice.signal(Signal::TERM);
    eventually("it drains", || sluice.admin().ask("GET", "/ready", "").status() == 503);
    assert_eq!(late.get("/").status(), 200);
    assert!(sluice.wait().success());
    drop(silent);
}

fn needs_root() {
    assert!(geteuid().is_root(), "this test becomes another user, or the first process of a namespace: run it as root");
}

/// The capability to listen on low ports, the only one that may be left.
const NET_BIND_SERVICE: u64 = 1 << 10;

#[test]
fn rights_that_it_does_not_need_are_given_up() {
    needs_root();
    let (web, origin) = (free_address(), Origin::start("amber"));
    let text = |origin: &dyn std::fmt::Display| {
        format!(
            r#"
user: nobody
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#
        )
    };
    let sluice = Setup::new(text(&origin)).with(&["--workers", "2"]).start();
    let nobody = String::from_utf8(run("id", &["-u", "nobody"]).stdout).unwrap();
    let threads = threads(sluice.process());
    assert!(threads.len() >= 4, "workers and control: {threads:?}");
    for status in threads {
        let value = |name| value(&status, name);
        let capabilities = |name| u64::from_str_radix(value(name), 16).unwrap();
        assert!(value("Uid:").split_whitespace().all(|id| id == nobody.trim()), "{status}");
        assert!(
            value("Gid:").split_whitespace().all(|id| id != "0") && !value("Groups:").split_whitespace().any(|id| id == "0"),
            "{status}"
        );
        assert_eq!(value("NoNewPrivs:"), "1", "{status}");
        assert_eq!(capabilities("CapEff:") & !NET_BIND_SERVICE, 0, "{status}");
        assert_eq!(capabilities("CapPrm:") & !NET_BIND_SERVICE, 0, "{status}");
        assert_eq!((capabilities("CapInh:"), capabilities("CapAmb:")), (0, 0), "{status}");
    }
    let mut client = Client::connect(web);
    assert_eq!(client.get("/").text(), "amber\n");
    let other = Origin::start("birch");
    sluice.replace(&text(&other));
    eventually("it still takes a change", || client.get("/").text() == "birch\n");
}

/// The status of each thread of a process.
fn threads(process: Pid) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect()
}

fn value<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}")).trim()
}

/// The children of a process.
fn children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let parent = parent.as_raw_nonzero().to_string();
    let is_child = |process: &i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name in parentheses: the state, the parent.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&parent))
    };
    processes.filter(is_child).filter_map(Pid::from_raw).collect()
}

#[test]
fn the_first_process_of_a_container_buries_the_dead_and_ends_when_told() {
    needs_root();
    let (web, origin) = (free_address(), Origin::start("amber"));
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"];
    let mut sluice = Setup::simple(web, &[&origin]).under(&unshare).start();
    let first = *children(sluice.process()).first().expect("unshare has started it");
    let threads = threads(first);
    assert_eq!(value(&threads[0], "NSpid:").split_whitespace().last(), Some("1"), "{threads:?}");
    assert!(threads.iter().all(|status| value(status, "NoNewPrivs:") == "1"), "{threads:?}");

    let target = first.to_string();
    let left = run("nsenter", &["--target", &target, "--pid", "--", "sh", "-c", "for each in 1 2; do sleep 2 >/dev/null 2>&1 & done"]);
    assert!(left.status.success(), "{}", String::from_utf8_lossy(&left.stderr));
    assert_eq!(children(first).len(), 2, "who is left behind is its own");
    eventually("the dead are buried", || children(first).is_empty());
    assert_eq!(Client::connect(web).get("/").text(), "amber\n");

    kill_process(first, Signal::TERM).unwrap();
    assert!(sluice.wait().success(), "{}", sluice.log());
    assert!(sluice.log().contains("drained"), "{}", sluice.log());
}
