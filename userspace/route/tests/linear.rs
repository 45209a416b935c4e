//! The table against the model it stands for: walk the sites, walk the rules, take the first that matches.

use proptest::prelude::*;
use proptest::sample::select;
use route::{Found, HostPattern, MethodSet, PathPattern, RouteTable, Rule, Site};

/// Hosts, most general last, so that the first that matches in this order is the right one.
fn host_rank(pattern: &HostPattern) -> usize {
    match pattern {
        HostPattern::Exact(_) => 0,
        HostPattern::Suffix(suffix) => 1_000 - suffix.len(),
        HostPattern::Any => usize::MAX,
    }
}

fn host_matches(pattern: &HostPattern, name: &str) -> bool {
    match pattern {
        HostPattern::Exact(exact) => **exact == *name,
        HostPattern::Suffix(suffix) => name.len() > suffix.len() && name.ends_with(&**suffix),
        HostPattern::Any => true,
    }
}

fn find_linear<'a>(sites: &'a [Site<u32>], name: &str, path: &[u8], method: &[u8]) -> Found<'a, u32> {
    let hosts = sites.iter().flat_map(|site| site.hosts.iter().map(move |host| (host, site)));
    let best = hosts.filter(|(host, _)| host_matches(host, name)).min_by_key(|(host, _)| host_rank(host));
    let Some((_, site)) = best else {
        return Found::NoSite;
    };
    let mut rules = site.rules.iter();
    match rules.find(|rule| rule.path.matches(path) && rule.methods.contains(method)) {
        None => Found::NoRoute,
        Some(rule) => Found::Route(&rule.value),
    }
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(vec!["a", "b", "shop"]), 1..4).prop_map(|labels| labels.join("."))
}

fn host() -> impl Strategy<Value = HostPattern> {
    prop_oneof![
        4 => name(),
        4 => name().prop_map(|name| format!("*.{name}")),
        1 => Just("*".to_owned()),
    ]
    .prop_map(|text| HostPattern::parse(&text).expect("made to be good"))
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(vec!["a", "b", ""]), 0..4)
        .prop_map(|segments| segments.iter().fold(String::new(), |path, segment| path + "/" + segment))
}

fn pattern() -> impl Strategy<Value = PathPattern> {
    prop_oneof![
        Just(None),
        path().prop_map(|path| Some(if path.is_empty() { "/".to_owned() } else { path })),
        path().prop_map(|path| Some(format!("{}/*", path.trim_end_matches('/')))),
    ]
    .prop_map(|text| text.map_or(PathPattern::Any, |text| PathPattern::parse(&text).expect("made to be good")))
}

fn methods() -> impl Strategy<Value = MethodSet> {
    prop_oneof![
        Just(MethodSet::any()),
        proptest::collection::vec(select(vec!["GET", "POST", "PURGE"]), 1..3)
            .prop_map(|names| MethodSet::of(names.iter().map(|name| name.as_bytes()))),
    ]
}

fn sites() -> impl Strategy<Value = Vec<Site<u32>>> {
    let rules = proptest::collection::vec((pattern(), methods()), 0..12);
    proptest::collection::vec((proptest::collection::vec(host(), 1..3), rules), 0..4).prop_map(|sites| {
        let mut taken = Vec::new();
        let mut fresh = |host: &HostPattern| {
            let is_fresh = !taken.contains(host);
            taken.push(host.clone());
            is_fresh
        };
        let mut values = 0..;
        sites
            .into_iter()
            .map(|(hosts, rules)| Site {
                hosts: hosts.into_iter().filter(&mut fresh).collect(),
                rules: rules.into_iter().zip(&mut values).map(|((path, methods), value)| Rule { path, methods, value }).collect(),
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_table_finds_what_a_walk_finds(
        sites in sites(),
        name in name(),
        decoration in select(vec!["", ".", ":80", ".:8080"]),
        path in prop_oneof![path(), Just("*".to_owned()), Just("a/b".to_owned())],
        method in select(vec!["GET", "POST", "PURGE", "HEAD", "BREW"]),
    ) {
        let table = RouteTable::build(sites.clone()).expect("hosts are unique");
        let expect = find_linear(&sites, &name, path.as_bytes(), method.as_bytes());
        let host = format!("{}{decoration}", name.to_uppercase());
        prop_assert_eq!(table.find(host.as_bytes(), path.as_bytes(), method.as_bytes()), expect);
    }
}

#[test]
fn sites_are_found_by_name_then_longest_wildcard_then_default() {
    let sites = ["shop.example.com", "*.example.com", "*.shop.example.com", "*", "[2001:db8::1]"];
    let sites = sites.map(|host| Site {
        hosts: vec![HostPattern::parse(host).expect("a good host")],
        rules: vec![Rule { path: PathPattern::Any, methods: MethodSet::any(), value: host }],
    });
    let table = RouteTable::build(sites.into()).expect("hosts are unique");
    let too_long = format!("{}.shop.example.com", "a.".repeat(200));
    for (host, expect) in [
        ("shop.example.com", "shop.example.com"),
        ("SHOP.example.com.:8443", "shop.example.com"),
        ("a.shop.example.com", "*.shop.example.com"),
        ("b.a.shop.example.com", "*.shop.example.com"),
        ("other.example.com", "*.example.com"),
        ("example.com", "*"),
        (".example.com", "*"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ("", "*"),
        (&too_long, "*"),
    ] {
        assert_eq!(table.find(host.as_bytes(), b"/", b"GET"), Found::Route(&expect), "{host}");
    }
}

#[test]
fn a_host_belongs_to_one_site() {
    let site = |host: &str| Site::<()> { hosts: vec![HostPattern::parse(host).expect("good")], rules: vec![] };
    for (hosts, expect) in [(["a.b", "A.b."], true), (["*", "*"], true), (["*.b", "*.B"], true), (["a.b", "*.b"], false)] {
        let built = RouteTable::build(hosts.map(site).into());
        assert_eq!(built.is_err(), expect, "{hosts:?}");
    }
}
