//! Documents that are good, and what they compile to.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::{
    Action, Attach, ClusterSlot, Cookies, HashBy, HttpListener, Kind, LogField, LogFormat, LogTarget, OnChange, OnDown, Origins, Policy,
    ProxyProtocol, Rejection, Route, Snapshot, State, Transport, Via, VipMode, compile, effective, load, load_text,
};
use route::Found;

fn try_read(text: &str, previous: Option<&Snapshot>) -> Result<Snapshot, Vec<Rejection>> {
    compile(&load_text(Path::new("/etc/sluice/sluice.yaml"), text)?, previous)
}

fn read(text: &str) -> Snapshot {
    update(text, None)
}

fn update(text: &str, previous: Option<&Snapshot>) -> Snapshot {
    try_read(text, previous).unwrap_or_else(|rejections| panic!("{}", told(&rejections)))
}

fn told(rejections: &[Rejection]) -> String {
    rejections.iter().fold(String::new(), |told, rejection| told + &rejection.to_string() + "\n")
}

fn http<'a>(snapshot: &'a Snapshot, listener: &str) -> &'a Arc<HttpListener> {
    match &snapshot.listeners[listener].kind {
        Kind::Http(http) => http,
        Kind::Tcp(_) | Kind::Passthrough => panic!("{listener} speaks no HTTP"),
    }
}

fn route<'a>(snapshot: &'a Snapshot, listener: &str, host: &str, path: &str) -> &'a Arc<Route> {
    match http(snapshot, listener).table.find(host.as_bytes(), path.as_bytes(), b"GET") {
        Found::Route(route) => route,
        other @ (Found::NoRoute | Found::NoSite) => panic!("{host}{path}: {other:?}"),
    }
}

/// The names of the clusters a route leads to, with their weights.
fn clusters(snapshot: &Snapshot, route: &Route) -> Vec<(String, u32)> {
    let Action::Forward(targets) = &route.action else { return Vec::new() };
    let name = |slot: ClusterSlot| snapshot.cluster(slot).map_or(String::new(), |cluster| cluster.name.to_string());
    targets.targets().iter().map(|target| (name(target.slot), target.weight)).collect()
}

const WHOLE: &str = r#"
version: 1
x-note: [free]
defaults: { timeouts: { connect: 1s, request: 15s, idle: none } }
listeners:
  web:
    bind: ["*:8443", "127.0.0.1:8080", "[::1]:8080", "unix:web.sock"]
    trusted: [10.0.0.0/8, "2001:db8::/32", unix]
    proxy_protocol: accept
    timeouts: { request: 7s, drain: 1m }
    limits: { connections: none, header_bytes: 16KiB, headers: 50, target_bytes: 4KB, body_bytes: 1MB }
    on_change: drain(90s)
    http:
      sites:
        - hosts: [shop.example.com, "*.shop.example.com"]
          routes:
            - match: { path: /api/*, methods: [GET, HEAD] }
              name: api
              to: api
              timeouts: { request: 5s }
              retry: 3
              request: { headers: { remove: [X-Secret], set: { X-Zone: a }, add: { via-x: "1", x-empty: "" } } }
              response: { headers: { set: { x-served-by: sluice } } }
            - { match: { path: /gone }, reply: { status: 410, body: "gone\n" } }
            - to: { web-v1: 95, web-v2: 5 }
        - hosts: ["*"]
          routes: [{ reply: 404 }]
  postgres: { bind: ["*:5432"], tcp: pg }
clusters:
  api:
    endpoints: [10.0.0.1:8080, { address: "[2001:db8::2]:8080", weight: 2, labels: { zone: a, rack: 0644 } }, "unix:run/api.sock"]
    balance: least_request
    timeouts: { connect: 250ms }
    limits: { connections: 10, pending: none }
    proxy_protocol: v2
  web-v1: { endpoints: [10.0.0.3:8080] }
  web-v2: { endpoints: [10.0.0.4:8080], balance: random }
  pg: { endpoints: [10.0.0.5:5432] }
  edge: { endpoints: [10.0.1.1, { address: "2001:db8::1", state: drained, weight: 7 }] }
vips:
  shop: { addresses: [203.0.113.10, "2001:db8::10"], ports: [tcp/443, udp/443], dsr: { via: gue, origins: any }, to: edge, session: 30s }
  rest: { addresses: [203.0.113.11], ports: [all], dsr: l2, to: edge, on_down: reset, hash: source }
  back: { addresses: [203.0.113.12], ports: [tcp/80-89, tcp/443], nat: out, to: pg }
  gate: { addresses: [203.0.113.12], ports: [tcp/5432], nat: { snat: none }, to: pg }
  own: { addresses: ["::ffff:203.0.113.12"], ports: [tcp/8443], terminate: web }
l4:
  interfaces: [eth0, bond0.7]
  attach: native
  instance: edge
  source: [198.51.100.1, "2001:db8::5"]
  hash_seed: 4000000000
  table_size: 16381
  settle: 5m
  node: 1
  nodes: 2
  pools: { out: { addresses: [198.51.100.2], ports: 10000-19999, udp_idle: 30s } }
  limits: { pins: 5000, source_packets: 100 }
  cookies: { above: 10000, trickle: 5 }
  guards: { deny: deny.txt, allow: { blocks: [10.0.0.0/8] } }
admin: { bind: unix:admin.sock, metrics: { bind: 127.0.0.1:9901, hosts: [Metrics.example.com] } }
access_log: { to: logs/access.log, format: json, fields: [time, status] }
user: "off"
group: 0644
workers: 4
"#;

#[test]
fn listeners_say_what_the_document_says() {
    let snapshot = read(WHOLE);
    let web = &snapshot.listeners["web"];
    let binds: Vec<String> = web.binds.iter().map(ToString::to_string).collect();
    assert_eq!(binds, ["0.0.0.0:8443", "[::]:8443", "127.0.0.1:8080", "[::1]:8080", "unix:/etc/sluice/web.sock"]);
    for (address, expect) in [("10.9.9.9", true), ("::ffff:10.0.0.1", true), ("11.0.0.1", false), ("2001:db8::9", true), ("::1", false)] {
        assert_eq!(web.trusted.holds(address.parse::<IpAddr>().expect("an address")), expect, "{address}");
    }
    assert!(web.trusted.unix && web.accept_proxy_protocol);
    assert_eq!(web.on_change, OnChange::Drain(Duration::from_secs(90)));
    assert_eq!(web.timeouts.request_head, Some(Duration::from_secs(10)));
    assert_eq!(web.timeouts.idle, None);
    assert_eq!(web.timeouts.drain, Some(Duration::from_mins(1)));
    assert_eq!(web.limits.connections, None);
    assert_eq!(web.limits.body_bytes, Some(1_000_000));
    let head = web.limits.head;
    assert_eq!((head.head_bytes_max, head.target_bytes_max, head.fields_max), (16 * 1024, 4_000, 50));
    let Kind::Tcp(tcp) = &snapshot.listeners["postgres"].kind else { panic!("not TCP") };
    assert_eq!(&*snapshot.cluster(tcp.to.pick(7)).expect("a cluster").name, "pg");
    assert!(!snapshot.listeners["postgres"].accept_proxy_protocol);
}

#[test]
fn routes_say_what_the_document_says() {
    let snapshot = read(WHOLE);
    let api = route(&snapshot, "web", "a.shop.example.com:8443", "/api/v1");
    assert_eq!(&*api.name, "api");
    assert_eq!(api.timeout, Some(Duration::from_secs(5)));
    assert_eq!(api.retry.attempts, 3);
    assert_eq!(clusters(&snapshot, api), [("api".to_owned(), 1)]);
    let field = |name: &str, value: &str| (name.as_bytes().into(), value.as_bytes().into());
    assert_eq!(*api.request_edits.remove, [b"x-secret".as_slice().into()]);
    assert_eq!(*api.request_edits.set, [field("x-zone", "a")]);
    assert_eq!(*api.request_edits.add, [field("via-x", "1"), field("x-empty", "")]);
    assert_eq!(*api.response_edits.set, [field("x-served-by", "sluice")]);

    let gone = route(&snapshot, "web", "shop.example.com", "/gone");
    assert_eq!(&*gone.name, "web/shop.example.com/1");
    let Action::Reply(reply) = &gone.action else { panic!("no reply") };
    assert_eq!((reply.status, &*reply.body), (410, b"gone\n".as_slice()));

    let rest = route(&snapshot, "web", "shop.example.com", "/");
    assert_eq!(rest.timeout, Some(Duration::from_secs(7)));
    assert_eq!(rest.retry.attempts, 2);
    assert!(rest.request_edits.is_empty());
    assert_eq!(clusters(&snapshot, rest), [("web-v1".to_owned(), 95), ("web-v2".to_owned(), 5)]);
    assert_eq!(&*route(&snapshot, "web", "elsewhere", "/").name, "web/*/0");
    assert_eq!(http(&snapshot, "web").routes.len(), 4);
}

#[test]
fn weights_are_shares_of_the_random_number() {
    let snapshot = read(WHOLE);
    let Action::Forward(targets) = &route(&snapshot, "web", "shop.example.com", "/").action else { panic!("no clusters") };
    let second = targets.targets()[1].slot;
    let step = u64::MAX / 1_000;
    let even = (0..1_000).map(|at| step * at + step / 2);
    assert_eq!(even.filter(|random| targets.pick(*random) == second).count(), 50);
}

#[test]
fn clusters_say_what_the_document_says() {
    let snapshot = read(WHOLE);
    let api = snapshot.cluster_by_name("api").expect("a cluster");
    let names: Vec<&str> = api.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    assert_eq!(names, ["10.0.0.1:8080", "[2001:db8::2]:8080", "unix:/etc/sluice/run/api.sock"]);
    assert_eq!(api.endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>(), [1, 2, 1]);
    let labels: Vec<(&str, &str)> = api.endpoints[1].labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(labels, [("rack", "0644"), ("zone", "a")]);
    assert_eq!((api.policy, api.proxy_protocol), (Policy::LeastRequest, Some(ProxyProtocol::V2)));
    assert_eq!((api.timeouts.connect, api.timeouts.idle), (Some(Duration::from_millis(250)), None));
    assert_eq!((api.limits.connections, api.limits.pending), (Some(10), None));
    let pg = snapshot.cluster_by_name("pg").expect("a cluster");
    assert_eq!((pg.policy, pg.timeouts.connect), (Policy::RoundRobin, Some(Duration::from_secs(1))));
    assert_eq!(snapshot.clusters().count(), 5);
    assert!(snapshot.cluster_by_name("nobody").is_none());
}

#[test]
fn vips_say_what_the_document_says() {
    let snapshot = read(WHOLE);
    let edge = snapshot.cluster_by_name("edge").expect("a cluster");
    let told = |endpoint: &config::Endpoint| (endpoint.name.to_string(), endpoint.weight, endpoint.table_weight, endpoint.state);
    let expect = [("10.0.1.1".to_owned(), 1, 1, State::Active), ("2001:db8::1".to_owned(), 0, 7, State::Drained)];
    assert_eq!(edge.endpoints.iter().map(|endpoint| told(endpoint)).collect::<Vec<_>>(), expect);
    let shop = &snapshot.vips["shop"];
    assert_eq!(shop.mode, VipMode::Dsr { via: Via::Gue, origins: Origins::Any, to: edge.slot });
    assert_eq!(shop.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["203.0.113.10", "2001:db8::10"]);
    let ports = |vip: &str| snapshot.vips[vip].ports.iter().map(|ports| (ports.transport, ports.first, ports.last)).collect::<Vec<_>>();
    assert_eq!(ports("shop"), [(Transport::Tcp, 443, 443), (Transport::Udp, 443, 443)]);
    assert_eq!(ports("rest"), [(Transport::Tcp, 0, 65_535), (Transport::Udp, 0, 65_535)]);
    assert_eq!(ports("back"), [(Transport::Tcp, 80, 89), (Transport::Tcp, 443, 443)]);
    assert_eq!((shop.on_down, shop.hash, shop.session), (OnDown::Keep, HashBy::Flow, Some(Duration::from_secs(30))));
    let rest = &snapshot.vips["rest"];
    assert_eq!((rest.on_down, rest.hash, rest.session), (OnDown::Reset, HashBy::Source, None));
    let pg = snapshot.cluster_by_name("pg").expect("a cluster").slot;
    assert_eq!(snapshot.vips["back"].mode, VipMode::Nat { pool: Some("out".into()), to: pg });
    assert_eq!(snapshot.vips["gate"].mode, VipMode::Nat { pool: None, to: pg });
    let own = &snapshot.vips["own"];
    assert_eq!((&own.mode, own.addresses[0].to_string()), (&VipMode::Terminate("web".into()), "203.0.113.12".to_owned()));
}

#[test]
fn the_kernel_layer_is_what_the_document_says() {
    let snapshot = read(WHOLE);
    let l4 = &snapshot.l4;
    assert_eq!((&*l4.interfaces, l4.attach, &*l4.instance), (&["eth0".into(), "bond0.7".into()][..], Attach::Native, "edge"));
    assert_eq!((l4.source_v4.map(|address| address.to_string()), l4.source_v6.is_some()), (Some("198.51.100.1".to_owned()), true));
    assert_eq!((l4.hash_seed, l4.table_size, l4.settle), (4_000_000_000, 16_381, Duration::from_mins(5)));
    let out = &l4.pools["out"];
    assert_eq!((out.first, out.last, out.tcp_idle, out.udp_idle), (15_000, 19_999, Duration::from_hours(1), Duration::from_secs(30)));
    assert_eq!((l4.limits.pins, l4.limits.source_packets, l4.limits.source_connections), (5_000, Some(100), None));
    assert_eq!(l4.cookies, Some(Cookies { above: 10_000, below: 5_000, trickle: 5 }));
    assert_eq!(l4.deny.file.as_deref(), Some(Path::new("/etc/sluice/deny.txt")));
    assert_eq!(l4.allow.blocks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8"]);
    let bare = read("version: 1").l4;
    assert_eq!((bare.interfaces.len(), bare.table_size, bare.settle, bare.cookies), (0, 65_537, Duration::from_hours(1), None));
}

#[test]
fn the_rest_says_what_the_document_says() {
    let snapshot = read(WHOLE);
    assert_eq!(snapshot.admin.socket.as_deref(), Some(Path::new("/etc/sluice/admin.sock")));
    let metrics = snapshot.admin.metrics.as_ref().expect("metrics");
    assert_eq!((metrics.bind.to_string(), &*metrics.hosts[0]), ("127.0.0.1:9901".to_owned(), "metrics.example.com"));
    let log = snapshot.access_log.as_ref().expect("a log");
    assert_eq!(log.target, LogTarget::File("/etc/sluice/logs/access.log".into()));
    assert_eq!((log.format, &*log.fields), (LogFormat::Json, [LogField::Time, LogField::Status].as_slice()));
    let process = &snapshot.process;
    assert_eq!((process.user.as_deref(), process.group.as_deref(), process.workers), (Some("off"), Some("0644"), Some(4)));
    assert_eq!((read("version: 1").process.workers, read("version: 1").access_log.is_none()), (None, true));
}

#[test]
fn json_is_read_like_yaml() {
    let json = r#"{"version":1,"listeners":{"web":{"bind":["*:80"],"http":{"sites":[{"hosts":["*"],
        "routes":[{"match":{"path":"/\u0061/*"},"to":"a","retry":null}]}]}}},"clusters":{"a":{"endpoints":["10.0.0.1:80"]}}}"#;
    let json = json.replace(r#","retry":null"#, "");
    assert_eq!(clusters(&read(&json), route(&read(&json), "web", "x", "/a/b")), [("a".to_owned(), 1)]);
}

#[test]
fn anchors_stand_for_what_they_name() {
    let snapshot =
        read("version: 1\nx-common: &common { endpoints: &list [10.0.0.1:80] }\nclusters: { a: *common, b: { endpoints: *list } }\n");
    let names = |name: &str| snapshot.cluster_by_name(name).map(|cluster| cluster.endpoints[0].name.to_string());
    assert_eq!((names("a"), names("b")), (Some("10.0.0.1:80".to_owned()), Some("10.0.0.1:80".to_owned())));
}

#[test]
fn aliases_of_aliases_come_to_an_end() {
    let mut text = String::from("version: 1\nx-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n");
    for level in 1..20 {
        let before = level - 1;
        let eight = vec![format!("*a{before}"); 8].join(", ");
        text = text + "x-" + &level.to_string() + ": &a" + &level.to_string() + " [" + &eight + "]\n";
    }
    let rejections = try_read(&text, None).expect_err("too many");
    assert!(told(&rejections).contains("aliases add more than 100000 values"), "{}", told(&rejections));
}

#[test]
fn depth_comes_to_an_end() {
    for (depth, expect) in [(60, true), (100, false), (100_000, false)] {
        let text = format!("version: 1\nx-deep: {}1{}\n", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(try_read(&text, None).is_ok(), expect, "{depth}");
    }
}

#[test]
fn the_environment_is_filled_in_after_parsing() {
    // Cargo sets this one for tests.
    let text = "version: 1\nuser: \"${env:CARGO_PKG_NAME}: x\"\ngroup: a$${env:B}-$5\n";
    let snapshot = read(text);
    assert_eq!(snapshot.process.user.as_deref(), Some("config: x"));
    assert_eq!(snapshot.process.group.as_deref(), Some("a${env:B}-$5"));
}

#[test]
fn examples_compile_and_mean_what_their_effective_form_means() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let mut texts = vec![WHOLE.to_owned(), "version: 1\n".to_owned()];
    for name in ["ten_lines.yaml", "pop.yaml"] {
        texts.push(std::fs::read_to_string(folder.join(name)).expect("a file"));
    }
    for text in texts {
        let loaded = load_text(&folder.join("x.yaml"), text).expect("a good document");
        let snapshot = compile(&loaded, None).unwrap_or_else(|rejections| panic!("{}", told(&rejections)));
        let shown = effective(&loaded).expect("a good document");
        let again = load_text(Path::new("/elsewhere/x.yaml"), shown.as_str()).expect("a good document");
        assert_eq!(effective(&again).expect("a good document"), shown);
        let same = compile(&again, Some(&snapshot)).unwrap_or_else(|rejections| panic!("{shown}\n{}", told(&rejections)));
        // Against what came before, everything that means the same is the same.
        assert!(snapshot.clusters().zip(same.clusters()).all(|(one, other)| Arc::ptr_eq(one, other)), "{shown}");
        assert_eq!(snapshot.clusters().count(), same.clusters().count());
        assert_eq!(snapshot.listeners, same.listeners, "{shown}");
        assert_eq!((&snapshot.vips, &snapshot.l4), (&same.vips, &same.l4), "{shown}");
        assert_eq!((&snapshot.admin, &snapshot.access_log, &snapshot.process), (&same.admin, &same.access_log, &same.process), "{shown}");
    }
}

#[test]
fn the_whole_design_reads_but_for_what_is_not_built_yet() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/whole.yaml"));
    let rejections = load(path).and_then(|loaded| compile(&loaded, None)).expect_err("not all of it is built");
    let told: Vec<String> = rejections
        .iter()
        .map(|rejection| format!("{}:{} {} {}", rejection.line, rejection.column, rejection.field, rejection.message))
        .collect();
    let later = |key: &str| format!("{key:?} is not supported by this version");
    let expect = [format!("17:24 listeners.web.http.sites[0].routes[0].retry.when {}", later("when"))];
    assert_eq!(told, expect);
}
