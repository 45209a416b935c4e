//! TLS of listeners and clusters, as strangers see it: openssl and curl.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]
#![expect(clippy::disallowed_methods, reason = "the long way says how long it took, in real time")]

use e2e::{Authority, Client, Origin, Setup, Stage, eventually, free_address, load, run, tally};
use std::{env, net::SocketAddr, time::Instant};

/// Replacements of a certificate under load; `SLUICE_REPLACEMENTS=1000 cargo test --release -p e2e --test tls replaced -- --nocapture`
/// is the long way and says how long it took.
const REPLACEMENTS: u32 = 50;

/// What `openssl s_client` says of a listener.
#[track_caller]
fn shown(address: SocketAddr, arguments: &[&str]) -> String {
    let address = address.to_string();
    let output = run("openssl", &[&["s_client", "-connect", &address], arguments].concat());
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A site asked by curl: status, reason, content; empty when there was no answer.
#[track_caller]
fn curl(address: SocketAddr, name: &str, arguments: &[&str]) -> String {
    let (to, url) = (format!("::{address}"), format!("https://{name}/headers"));
    let always = ["--silent", "--max-time", "15", "--connect-to", &to, "--write-out", "%{http_code} %header{x-sluice-reason}"];
    String::from_utf8(run("curl", &[&always, arguments, &[&url]].concat()).stdout).unwrap()
}

#[test]
fn versions_and_names() {
    let (web, origin, authority) = (free_address(), Origin::start("amber"), Authority::new());
    let (shop, news) = (authority.sign(&["shop.test"]), authority.sign(&["*.news.test"]));
    let _sluice = Setup::new(format!(
        r#"
secrets: {{ shop: {}, news: {} }}
listeners:
  web: {{ bind: ["{web}"], tls: {{ certificates: [shop, news] }}, http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#,
        shop.secret(),
        news.secret()
    ))
    .start();
    for (version, said) in [("-tls1_2", "New, TLSv1.2"), ("-tls1_3", "New, TLSv1.3")] {
        for (name, subject) in [("shop.test", "CN = shop.test"), ("a.news.test", "CN = *.news.test"), ("other.test", "CN = shop.test")] {
            let shown = shown(web, &[version, "-servername", name]);
            assert!(shown.contains(said) && shown.contains(&format!("subject={subject}")), "{version} {name}: {shown}");
        }
    }
    let agreed = shown(web, &["-alpn", "h2,http/1.1"]);
    assert!(agreed.contains("ALPN protocol: h2"), "{agreed}");
    let old = shown(web, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(old.contains("SSL alert number"), "{old}");
}

#[test]
fn what_is_no_tls() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let mut plain = Client::connect(stage.secure);
    let response = plain.get("/");
    assert_eq!((response.status(), response.reason()), (400, "plain_http"));
    // No record at all, a record of content, a message of a server, a record that is too long.
    for garbage in [&[0; 100][..], b"\x17\x03\x03\x00\x05hello", b"\x16\x03\x01\x00\x06\x02\x00\x00\x02ab", b"\x16\x03\x01\xff\xffaaaa"] {
        let mut client = Client::connect(stage.secure);
        client.send(garbage);
        let answer = client.rest().unwrap();
        assert_eq!(&answer[..answer.len().min(6)], b"\x15\x03\x03\x00\x02\x02", "{garbage:?} gets an alert that is fatal");
    }
    let faults = |reason| stage.sluice.metrics().faults(reason);
    eventually("all are counted", || faults("plain_http") == 1 && faults("not_tls") == 2 && faults("tls_handshake") == 2);
}

#[test]
fn clients_show_certificates() {
    let (required, optional) = (free_address(), free_address());
    let (origin, authority, stranger) = (Origin::start("amber"), Authority::new(), Authority::new());
    let (server, client, wrong) = (authority.sign(&["shop.test"]), authority.sign(&["client.test"]), stranger.sign(&["client.test"]));
    let clients = |verify| format!("clients: {{ verify: {verify}, ca: \"{}\", identity_field: x-client }}", authority.file().display());
    let listener = |address, verify| {
        let sites = "{ sites: [{ hosts: [\"*\"], routes: [{ to: app }] }] }";
        format!("{{ bind: [\"{address}\"], tls: {{ certificates: [shop], {} }}, http: {sites} }}", clients(verify))
    };
    let _sluice = Setup::new(format!(
        "secrets: {{ shop: {} }}\nlisteners:\n  required: {}\n  optional: {}\nclusters:\n  app: {{ endpoints: [\"{origin}\"] }}\n",
        server.secret(),
        listener(required, "required"),
        listener(optional, "optional"),
    ))
    .start();
    let ca = authority.file().display().to_string();
    let ask = |address, shown: Option<&e2e::Pair>| {
        let files = shown.map(|pair| [pair.cert.display().to_string(), pair.key.display().to_string()]);
        let own: Vec<&str> = files.iter().flat_map(|[cert, key]| ["--cert", cert, "--key", key]).collect();
        curl(address, "shop.test", &[&["--cacert", &ca, "--header", "x-client: forged"][..], &own].concat()).to_ascii_lowercase()
    };
    for address in [required, optional] {
        let told = ask(address, Some(&client));
        assert!(
            told.ends_with("200 ") && told.contains("x-client: ") && told.contains("client.test") && !told.contains("forged"),
            "{told}"
        );
        assert_eq!(ask(address, Some(&wrong)), "000 ", "signed by a stranger");
    }
    assert_eq!(ask(required, None), "000 ");
    let nobody = ask(optional, None);
    assert!(nobody.ends_with("200 ") && !nobody.contains("x-client"), "{nobody}");
}

#[test]
fn origins_prove_who_they_are() {
    let (web, back) = (free_address(), free_address());
    let (authority, stranger) = (Authority::new(), Authority::new());
    let pair = authority.sign(&["right.test"]);
    let cluster =
        |name, by: &Authority| format!("{{ endpoints: [\"{back}\"], tls: {{ server_name: {name}, ca: \"{}\" }} }}", by.file().display());
    let site = |cluster: &str| format!("{{ hosts: [{cluster}], routes: [{{ to: {cluster} }}] }}");
    let sluice = Setup::new(format!(
        r#"
secrets: {{ right: {} }}
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{}, {}, {}] }} }}
  back: {{ bind: ["{back}"], tls: {{ certificates: [right] }}, http: {{ sites: [{{ hosts: ["*"], routes: [{{ reply: 200 }}] }}] }} }}
clusters: {{ right: {}, wrong: {}, unknown: {} }}
"#,
        pair.secret(),
        site("right"),
        site("wrong"),
        site("unknown"),
        cluster("right.test", &authority),
        cluster("wrong.test", &authority),
        cluster("right.test", &stranger),
    ))
    .start();
    for (host, expect) in
        [("right", (200, "")), ("wrong", (503, "upstream_tls_verification")), ("unknown", (503, "upstream_tls_verification"))]
    {
        let response = Client::connect(web).get_of(host, "/");
        assert_eq!((response.status(), response.reason()), expect, "{host}");
    }
    assert!(sluice.metrics().faults("upstream_tls_verification") >= 2);
}

#[test]
fn certificates_replaced_under_load() {
    let times = env::var("SLUICE_REPLACEMENTS").map_or(REPLACEMENTS, |times| times.parse().unwrap());
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let url = format!("https://{}/delay/200", stage.secure);
    let requests = (times * 100).to_string();
    let others = load(&url, "two.test", &["-n", &requests]);
    let metric = |name: &str| stage.sluice.metrics().sum(name, &["listener=\"secure\""]);
    eventually("the load is on", || metric("sluice_downstream_connections_active") == 10);
    let generation = || stage.sluice.metrics().sum("sluice_config_generation", &[]);
    let begun = Instant::now();
    for _ in 0..times {
        let old = generation();
        let (cert, key) = stage.authority.make(&e2e::HOSTS);
        stage.pair.replace(&cert, &key);
        eventually("the certificate is in force", || generation() > old);
        assert_eq!(metric("sluice_downstream_connections_active"), 10, "no connection is closed");
    }
    println!("{times} certificates replaced in {:.1?}", begun.elapsed());
    assert_eq!(tally(others), (u64::from(times) * 100, 0));
    assert_eq!(metric("sluice_downstream_connections_total"), 10);
}
