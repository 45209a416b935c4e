//! Health checks of endpoints: by requests, connections and calls; over TLS and HTTP/2 as over neither.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Client, Ending, Scripted, Setup, Sluice, eventually, free_address, python};
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// An origin that answers with its name, and to health checks as long as it is well.
fn origin(name: &'static str) -> (Scripted, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let inside = Arc::clone(&well);
    let origin = Scripted::start(move |turn| {
        while let Some(seen) = turn.request() {
            let is_check = seen.head.starts_with("GET /healthz HTTP/1.1\r\n") && seen.head.contains("sluice-health");
            let status = if is_check && !inside.load(Ordering::Relaxed) { 503 } else { 200 };
            let body = if is_check { "" } else { name };
            turn.send(format!("HTTP/1.1 {status} Fine\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        }
    });
    (origin, well)
}

/// What `/clusters` says of the health of the endpoints of the first cluster.
fn healths(sluice: &Sluice) -> Vec<String> {
    let text = sluice.admin().ask("GET", "/clusters", "").text().replace(' ', "");
    text.split("\"health\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn who_is_ill_is_left_out_until_well() {
    let web = free_address();
    let ((red, red_well), (blue, blue_well)) = (origin("red"), origin("blue"));
    let text = |more: &str| {
        let health = "[{ http: /healthz, interval: 20ms, rise: 2, fall: 2 }]";
        format!(
            "listeners:
  web: {{ bind: [\"{web}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: app{more} }}] }}] }} }}
clusters:
  app: {{ endpoints: [\"{red}\", \"{blue}\"], health: {health} }}
"
        )
    };
    let sluice = Setup::new(text("")).with(&["--workers", "2"]).start();
    let answers = |expect: &[&str]| {
        let mut seen: Vec<String> = (0..8).map(|_| Client::connect(web).get("/").text()).collect();
        seen.sort();
        seen.dedup();
        seen == expect
    };
    eventually("both are up", || healths(&sluice) == ["up", "up"]);
    assert!(answers(&["blue", "red"]));
    red_well.store(false, Ordering::Relaxed);
    eventually("red is down", || healths(&sluice) == ["down", "up"]);
    assert!(answers(&["blue"]));
    // What is known outlives another configuration, on all workers.
    let generation = || sluice.metrics().sum("sluice_config_generation", &[]);
    sluice.replace(&text(", retry: 3"));
    eventually("it is in force", || generation() == 2);
    assert!(answers(&["blue"]));
    blue_well.store(false, Ordering::Relaxed);
    eventually("both are down", || healths(&sluice) == ["down", "down"]);
    let response = Client::connect(web).get("/");
    assert_eq!((response.status(), response.reason()), (503, "no_endpoint"));
    red_well.store(true, Ordering::Relaxed);
    eventually("red is up again", || healths(&sluice) == ["up", "down"]);
    assert!(answers(&["red"]));
    let labels = [&*format!("endpoint=\"{red}\""), "cluster=\"app\""];
    let metrics = sluice.metrics();
    assert_eq!(metrics.sum("sluice_health_changes_total", &labels), 2);
    assert!(metrics.sum("sluice_health_checks_total", &[labels[0], "result=\"status\""]) >= 2);
    assert!(metrics.sum("sluice_health_checks_total", &[labels[0], "result=\"good\""]) >= 3);
    for told in [format!("cluster app: endpoint {red} is down: it answered with status 503"), format!("cluster app: endpoint {red} is up")]
    {
        eventually(&told, || sluice.log().contains(&told));
    }
}

#[test]
fn connections_open_and_do_not() {
    let (web, there) = (free_address(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (there_at, nowhere) = (there.local_addr().unwrap(), free_address());
    let sluice = Setup::new(format!(
        "listeners:
  web: {{ bind: [\"{web}\"], tcp: app }}
clusters:
  app: {{ endpoints: [\"{there_at}\", \"{nowhere}\"], health: [{{ tcp: {{}}, interval: 20ms }}] }}
"
    ))
    .start();
    eventually("one is up", || healths(&sluice) == ["up", "down"]);
    // (Who was not looked at yet is said to be down too.)
    eventually("the other was asked", || sluice.metrics().sum("sluice_health_checks_total", &["result=\"connect_failed\""]) >= 1);
    // A check without answer is no check: somebody else's port is asked, and only that.
    sluice.replace(&format!(
        "listeners:
  web: {{ bind: [\"{web}\"], tcp: app }}
clusters:
  app: {{ endpoints: [\"{nowhere}\"], health: [{{ tcp: {{}}, interval: 20ms, port: {} }}] }}
",
        there_at.port()
    ));
    eventually("the other port is asked", || healths(&sluice) == ["up"]);
}

#[test]
fn over_what_the_cluster_speaks() {
    let (web, back, authority) = (free_address(), free_address(), Authority::new());
    let (clear, marked) = (free_address(), free_address());
    let pair = authority.sign(&["right.test"]);
    let ca = authority.file().display().to_string();
    let sites = "{ sites: [{ hosts: [right.test], routes: [{ match: { path: /well }, reply: 204 }, { reply: 500 }] }] }";
    let cluster = |at, more: &str, path: &str| {
        format!(
            "{{ endpoints: [\"{at}\"], {more}, health: [{{ http: {{ path: {path}, host: right.test, status: [204] }}, interval: 20ms }}] }}"
        )
    };
    let tls = format!("tls: {{ server_name: right.test, ca: \"{ca}\" }}");
    let stranger = format!("tls: {{ server_name: wrong.test, ca: \"{ca}\" }}");
    let clusters = [
        ("a", cluster(back, &tls, "/well"), "good"),
        ("b", cluster(back, &format!("{tls}, protocol: http1"), "/well"), "good"),
        ("c", cluster(back, &tls, "/ill"), "status"),
        ("d", cluster(back, &stranger, "/well"), "upstream_tls_verification"),
        ("e", cluster(clear, "protocol: http2", "/well"), "good"),
        ("f", cluster(marked, "protocol: http2, proxy_protocol: v2", "/well"), "good"),
        ("g", cluster(marked, "proxy_protocol: v1", "/well"), "good"),
    ];
    let site = |name: &str| format!("{{ hosts: [{name}], routes: [{{ to: {name} }}] }}");
    let sluice = Setup::new(format!(
        "secrets: {{ right: {} }}
listeners:
  web: {{ bind: [\"{web}\"], http: {{ sites: [{}] }} }}
  back: {{ bind: [\"{back}\"], tls: {{ certificates: [right] }}, http: {sites} }}
  clear: {{ bind: [\"{clear}\"], http: {sites} }}
  marked: {{ bind: [\"{marked}\"], trusted: [127.0.0.0/8], proxy_protocol: accept, http: {sites} }}
clusters:
{}
",
        pair.secret(),
        clusters.iter().map(|(name, ..)| site(name)).collect::<Vec<_>>().join(", "),
        clusters.iter().map(|(name, text, _)| format!("  {name}: {text}\n")).collect::<Vec<_>>().concat(),
    ))
    .start();
    for (name, _, result) in &clusters {
        let seen = |result: &str| {
            let labels = [format!("cluster=\"{name}\""), format!("result=\"{result}\"")];
            sluice.metrics().sum("sluice_health_checks_total", &[&labels[0], &labels[1]])
        };
        eventually(format_args!("{name} is found {result}"), || seen(result) >= 3);
        let up = sluice.metrics().sum("sluice_upstream_up", &[&format!("cluster=\"{name}\"")]);
        assert_eq!(up, i64::from(*result == "good"), "{name}");
    }
}

/// gRPC's own server, in the clear and through TLS, that goes and comes back.
#[test]
fn calls() {
    let authority = Authority::new();
    let right = authority.sign(&["right.test"]);
    let serve = |ports: &[String]| {
        let mut origin = python("grpc_echo.py");
        origin.arg("serve").args([&right.cert, &right.key]).args(ports).stdout(Stdio::piped());
        let mut origin = Ending(origin.spawn().unwrap());
        let said = BufReader::new(origin.0.stdout.take().unwrap()).lines();
        (said.take(2).map(Result::unwrap).collect::<Vec<String>>(), origin)
    };
    let (ports, origin) = serve(&[]);
    let web = free_address();
    let ca = authority.file().display().to_string();
    let services = [
        ("whole", "{}", "good"),
        ("known", "test.Echo", "good"),
        ("stopped", "test.Stopped", "not_serving"),
        ("other", "test.Other", "not_serving"),
    ];
    let mut rows = Vec::new();
    for (name, service, result) in services {
        rows.push((format!("{name}-clear"), 0, "", service, result));
        rows.push((format!("{name}-sealed"), 1, "right.test", service, result));
    }
    rows.push(("stranger".to_owned(), 1, "wrong.test", "{}", "upstream_tls_verification"));
    let clusters = rows.iter().map(|(name, at, server_name, service, _)| {
        let tls = if *at == 0 { String::new() } else { format!("tls: {{ server_name: {server_name}, ca: \"{ca}\" }}, ") };
        let health = format!("[{{ grpc: {service}, interval: 50ms, rise: 2, fall: 2 }}]");
        format!("  {name}: {{ endpoints: [\"127.0.0.1:{}\"], protocol: http2, {tls}health: {health} }}\n", ports[*at])
    });
    let clusters: Vec<String> = clusters.collect();
    let sites: Vec<String> = rows.iter().map(|(name, ..)| format!("{{ hosts: [{name}], routes: [{{ to: {name} }}] }}")).collect();
    let sluice = Setup::new(format!(
        "listeners:\n  web: {{ bind: [\"{web}\"], http: {{ sites: [{}] }} }}\nclusters:\n{}",
        sites.join(", "),
        clusters.concat()
    ))
    .start();
    let is_up = |name: &str| sluice.metrics().sum("sluice_upstream_up", &[&format!("cluster=\"{name}\"")]) == 1;
    for (name, _, _, _, result) in &rows {
        let labels = [format!("cluster=\"{name}\""), format!("result=\"{result}\"")];
        let found = || sluice.metrics().sum("sluice_health_checks_total", &[&labels[0], &labels[1]]);
        eventually(format_args!("{name} is found {result}"), || found() >= 2);
        assert_eq!(is_up(name), *result == "good", "{name}");
    }
    let well: Vec<&String> = rows.iter().filter(|(.., result)| *result == "good").map(|(name, ..)| name).collect();
    drop(origin);
    eventually("all are down", || !well.iter().any(|name| is_up(name)));
    let (again, _origin) = serve(&ports);
    assert_eq!(again, ports, "it is back where it was");
    eventually("who was well is up again", || well.iter().all(|name| is_up(name)));
}
