//! What an update shares with the snapshot before it, and that sharing changes nothing else.
#![expect(clippy::format_push_string, clippy::format_collect, reason = "documents put together here are short")]

use std::path::Path;
use std::sync::Arc;

use config::{Action, ClusterSlot, HttpListener, Kind, Route, Snapshot, compile, load_text};
use proptest::prelude::*;
use proptest::sample::select;

fn update(text: &str, previous: Option<&Snapshot>) -> Snapshot {
    let loaded = load_text(Path::new("/etc/sluice.yaml"), text).expect("a good document");
    compile(&loaded, previous).unwrap_or_else(|rejections| panic!("{text}\n{rejections:?}"))
}

fn http<'a>(snapshot: &'a Snapshot, listener: &str) -> &'a Arc<HttpListener> {
    match &snapshot.listeners[listener].kind {
        Kind::Http(http) => http,
        Kind::Tcp(_) | Kind::Passthrough => panic!("{listener} speaks no HTTP"),
    }
}

const BASE: &str = r#"
version: 1
listeners:
  web:
    bind: ["*:80"]
    http:
      sites:
        - hosts: [a]
          routes: [{ match: { path: /x }, to: one }, { to: two }]
        - { hosts: ["*"], routes: [{ reply: 404 }] }
  tcp: { bind: ["*:81"], tcp: { to: two } }
clusters:
  one: { endpoints: [10.0.0.1:80, 10.0.0.2:80] }
  two: { endpoints: [10.0.0.3:80] }
"#;

/// Which parts of `BASE` are the same after a change: listeners web and tcp, the HTTP side, its three routes, clusters
/// one and two.
fn check(from: &str, to: &str, expect: [bool; 8]) {
    let text = BASE.replace(from, to);
    assert!(from.is_empty() || text != BASE, "{from} is nowhere");
    let before = update(BASE, None);
    let after = update(&text, Some(&before));
    let route = |snapshot: &Snapshot, place: usize| http(snapshot, "web").routes.get(place).cloned();
    let is_same_route =
        |place: usize| route(&before, place).zip(route(&after, place)).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other));
    let is_same_cluster = |name: &str| {
        let clusters = before.cluster_by_name(name).zip(after.cluster_by_name(name));
        clusters.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    };
    let actual = [
        Arc::ptr_eq(&before.listeners["web"], &after.listeners["web"]),
        Arc::ptr_eq(&before.listeners["tcp"], &after.listeners["tcp"]),
        Arc::ptr_eq(http(&before, "web"), http(&after, "web")),
        is_same_route(0),
        is_same_route(1),
        is_same_route(2),
        is_same_cluster("one"),
        is_same_cluster("two"),
    ];
    assert_eq!(actual, expect, "{from} to {to}");
    assert_eq!(after.generation, 2);
    assert!(Arc::ptr_eq(&before.admin, &after.admin) && Arc::ptr_eq(&before.process, &after.process));
}

#[test]
fn each_change_takes_its_own_part_and_what_holds_it() {
    let all = true;
    check("", "", [all; 8]);
    check("clusters:", "# a note\nclusters:", [all; 8]);
    check("10.0.0.3:80", "10.0.0.4:80", [all, all, all, all, all, all, all, false]);
    check("version: 1\n", "version: 1\ndefaults: { timeouts: { connect: 9s } }\n", [all, all, all, all, all, all, false, false]);
    check("version: 1\n", "version: 1\ndefaults: { timeouts: { request: 9s } }\n", [false, all, false, false, false, false, all, all]);
    check("version: 1\n", "version: 1\nx-note: something\n", [all; 8]);
    check("reply: 404", "reply: 410", [false, all, false, all, all, false, all, all]);
    check("path: /x", "path: /y", [false, all, false, all, all, all, all, all]);
    check("hosts: [a]", "hosts: [a, b]", [false, all, false, all, all, all, all, all]);
    check("hosts: [a]", "hosts: [b]", [false, all, false, false, false, all, all, all]);
    check("\"*:81\"", "\"*:82\"", [all, false, all, all, all, all, all, all]);
    check("\"*:80\"", "\"*:82\"", [false, all, all, all, all, all, all, all]);
    check("to: one", "to: { one: 1 }", [all; 8]);
    check("{ endpoints: [10.0.0.3:80] }", "{ endpoints: [10.0.0.3:80], balance: round_robin }", [all; 8]);
}

#[test]
fn endpoints_are_shared_one_by_one() {
    let before = update(BASE, None);
    let after = update(&BASE.replace("10.0.0.2:80", "10.0.0.9:80"), Some(&before));
    let endpoints = |snapshot: &Snapshot| snapshot.cluster_by_name("one").expect("a cluster").endpoints.clone();
    let (before, after) = (endpoints(&before), endpoints(&after));
    assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[1], &after[1]));
}

fn slot(snapshot: &Snapshot, name: &str) -> ClusterSlot {
    snapshot.cluster_by_name(name).expect("a cluster").slot
}

#[test]
fn clusters_keep_their_slots_and_vacant_slots_are_never_mistaken() {
    let text = |names: &[&str]| {
        let clusters: String = names.iter().map(|name| format!("  {name}: {{ endpoints: [10.0.0.1:80] }}\n")).collect();
        format!("version: 1\nclusters:\n{clusters}")
    };
    let first = update(&text(&["a", "b", "c"]), None);
    let second = update(&text(&["c", "d", "a", "e"]), Some(&first));
    assert_eq!((slot(&first, "a"), slot(&first, "c")), (slot(&second, "a"), slot(&second, "c")));
    let vacated = slot(&first, "b");
    let taken = second.clusters().find(|cluster| cluster.slot.index == vacated.index).expect("the slot is given out again");
    assert_ne!(taken.slot, vacated);
    assert!(second.cluster(vacated).is_none(), "a slot that was kept too long finds nothing");
    assert_eq!(second.cluster_slots(), 4);
    let third = update(&text(&["a"]), Some(&second));
    assert_eq!((third.clusters().count(), third.cluster_slots()), (1, 4));
    assert!(third.cluster(ClusterSlot { index: 99, birth: 0 }).is_none());
}

#[test]
fn a_cluster_that_is_gone_is_missed_by_routes_that_did_not_change() {
    let before = update(BASE, None);
    let text = BASE.replace("  one: {", "  oen: {");
    let loaded = load_text(Path::new("/etc/sluice.yaml"), text).expect("a good document");
    let rejections = compile(&loaded, Some(&before)).expect_err("a route has no cluster");
    let told: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    let expect = "/etc/sluice.yaml:9:47: listeners.web.http.sites[0].routes[0].to: there is no cluster \"one\" (did you mean \"oen\"?); \
                  it has to stand under clusters";
    assert_eq!(told, [expect]);
}

#[test]
fn what_stands_elsewhere_means_something_else() {
    // A relative path means another file from another folder.
    let text = "version: 1\nclusters: { a: { endpoints: [\"unix:a.sock\"] } }\n";
    let at = |path: &str, previous: Option<&Snapshot>| {
        compile(&load_text(Path::new(path), text).expect("a good document"), previous).expect("a good configuration")
    };
    let before = at("/one/sluice.yaml", None);
    let after = at("/two/sluice.yaml", Some(&before));
    assert_eq!(&*after.cluster_by_name("a").expect("a cluster").endpoints[0].name, "unix:/two/a.sock");
}

/// A configuration in few choices, so that neighbours are often nearly the same.
fn document() -> impl Strategy<Value = String> {
    let cluster =
        (select(vec!["a", "b", "c", "d"]), select(vec!["10.0.0.1:80", "10.0.0.2:80, 10.0.0.3:80"]), select(vec!["", ", balance: random"]));
    let route = (
        select(vec!["/x", "/x/*", "/y"]),
        select(vec!["keep", "a", "b", "{ a: 1, b: 2 }"]),
        select(vec!["", ", timeouts: { request: 1s }"]),
    );
    let timeouts = select(vec!["", "connect: 1s", "request: 2s"]);
    let host = select(vec!["one", "two"]);
    (proptest::collection::vec(cluster, 0..5), proptest::collection::vec(route, 0..6), timeouts, host).prop_map(
        |(clusters, routes, timeouts, host)| {
            let mut text =
                format!("version: 1\ndefaults: {{ timeouts: {{ {timeouts} }} }}\nclusters:\n  keep: {{ endpoints: [10.0.0.9:80] }}\n");
            let mut names = vec!["keep"];
            for (name, endpoints, balance) in clusters {
                if !names.contains(&name) {
                    names.push(name);
                    text += &format!("  {name}: {{ endpoints: [{endpoints}]{balance} }}\n");
                }
            }
            text += &format!(
                "listeners:\n  web:\n    bind: [\"*:80\"]\n    http:\n      sites:\n        - hosts: [{host}]\n          routes:\n"
            );
            for (path, to, timeouts) in routes {
                let to = if to.chars().any(|name| name.is_alphabetic() && to != "keep" && !names.contains(&&*name.to_string())) {
                    "keep"
                } else {
                    to
                };
                text += &format!("            - {{ match: {{ path: {path} }}, to: {to}{timeouts} }}\n");
            }
            text
        },
    )
}

/// All that a snapshot says, slots replaced by names.
fn said(snapshot: &Snapshot) -> Vec<String> {
    let name = |slot: ClusterSlot| snapshot.cluster(slot).map(|cluster| cluster.name.to_string());
    let route = |route: &Arc<Route>| {
        let targets = match &route.action {
            Action::Forward(targets) => targets.targets().iter().map(|target| (name(target.slot), target.weight)).collect(),
            Action::Reply(_) => Vec::new(),
        };
        format!("{} {:?} {targets:?}", route.name, route.timeout)
    };
    let mut said: Vec<String> = http(snapshot, "web").routes.iter().map(route).collect();
    for path in ["/x", "/x/1", "/y", "/z"] {
        said.push(format!("{:?}", http(snapshot, "web").table.find(b"one", path.as_bytes(), b"GET").route().map(route)));
    }
    let mut clusters: Vec<_> =
        snapshot.clusters().map(|cluster| (&cluster.name, &cluster.endpoints, cluster.policy, cluster.timeouts)).collect();
    clusters.sort_by_key(|cluster| cluster.0);
    said.push(format!("{clusters:?}"));
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_update_says_what_a_fresh_start_says(texts in proptest::collection::vec(document(), 1..6)) {
        let mut previous: Option<Snapshot> = None;
        for text in texts {
            let snapshot = update(&text, previous.as_ref());
            prop_assert_eq!(said(&snapshot), said(&update(&text, None)), "{}", text);
            previous = Some(snapshot);
        }
    }
}
