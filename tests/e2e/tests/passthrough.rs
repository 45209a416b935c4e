//! TLS that goes on unopened beside TLS that ends here, on one port, as curl and openssl see it; and names that nobody has.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Client, Setup, eventually, free_address, run};
use std::net::SocketAddr;

/// A site asked by curl: what it says; empty when there was no answer.
#[track_caller]
fn curl(address: SocketAddr, name: &str, arguments: &[&str]) -> String {
    let (to, url) = (format!("::{address}"), format!("https://{name}/"));
    let always = ["--silent", "--max-time", "15", "--connect-to", &to];
    String::from_utf8(run("curl", &[&always, arguments, &[&url]].concat()).stdout).unwrap()
}

#[test]
fn both_kinds_on_one_port() {
    let (web, marked, back, behind) = (free_address(), free_address(), free_address(), free_address());
    let authority = Authority::new();
    let (own, far) = (authority.sign(&["own.test", "any.test"]), authority.sign(&["far.test", "*.far.test", "any.test"]));
    let says = |what: &str| format!("http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: {{ body: {what} }} }}] }}] }}");
    let rules = |cluster: &str| {
        format!("[{{ names: [far.test, \"*.far.test\"], to: {cluster} }}, {{ names: [\"*\"], alpn: [h2], to: {cluster} }}]")
    };
    let sluice = Setup::new(format!(
        "secrets: {{ own: {}, far: {} }}
listeners:
  web: {{ bind: [\"{web}\"], passthrough: {}, tls: {{ certificates: [own] }}, {} }}
  marked: {{ bind: [\"{marked}\"], trusted: [127.0.0.0/8], proxy_protocol: accept, passthrough: {}, tls: {{ certificates: [own] }}, {} }}
  back: {{ bind: [\"{back}\"], tls: {{ certificates: [far] }}, {} }}
  behind: {{ bind: [\"{behind}\"], trusted: [127.0.0.0/8], proxy_protocol: accept, tls: {{ certificates: [far] }}, {} }}
clusters:
  far: {{ endpoints: [\"{back}\"] }}
  marked: {{ endpoints: [\"{behind}\"], proxy_protocol: v2 }}
",
        own.secret(),
        far.secret(),
        rules("far"),
        says("own"),
        rules("marked"),
        says("own"),
        says("far"),
        says("behind"),
    ))
    .start();
    let ca = authority.file().display().to_string();
    for (address, arguments, passed) in [(web, &[][..], "far"), (marked, &["--haproxy-protocol"], "behind")] {
        let ask = |name: &str, alpn: &str| curl(address, name, &[&["--cacert", &*ca, alpn][..], arguments].concat());
        for (name, alpn, expect) in [
            ("own.test", "--http1.1", "own"),
            ("far.test", "--http1.1", passed),
            ("a.far.test", "--http2", passed),
            ("any.test", "--http1.1", "own"),
            ("any.test", "--http2", passed),
        ] {
            assert_eq!(ask(name, alpn), expect, "{name} {alpn} at {address}");
        }
    }
    // What is no TLS is told so where TLS ends.
    let response = Client::connect(web).get("/");
    assert_eq!((response.status(), response.reason()), (400, "plain_http"));
    let passed = |listener: &str| sluice.metrics().sum("sluice_downstream_passed_through_total", &[&format!("listener=\"{listener}\"")]);
    assert_eq!((passed("web"), passed("marked"), passed("back")), (3, 3, 0));
    eventually("all are over", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
}

/// A listener that only sends on: everybody else is told why not.
#[test]
fn nothing_of_its_own() {
    let (web, back, authority) = (free_address(), free_address(), Authority::new());
    let pair = authority.sign(&["far.test", "other.test"]);
    let sluice = Setup::new(format!(
        "secrets: {{ far: {} }}
listeners:
  web: {{ bind: [\"{web}\"], passthrough: [{{ names: [far.test], to: far }}] }}
  back: {{ bind: [\"{back}\"], tls: {{ certificates: [far] }}, http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: {{ body: far }} }}] }}] }} }}
clusters:
  far: {{ endpoints: [\"{back}\"] }}
",
        pair.secret()
    ))
    .start();
    let ca = authority.file().display().to_string();
    assert_eq!(curl(web, "far.test", &["--cacert", &ca]), "far");
    assert_eq!(curl(web, "other.test", &["--cacert", &ca]), "");
    let output = run("openssl", &["s_client", "-connect", &web.to_string(), "-servername", "other.test"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("alert number 112"), "{said}");
    let response = Client::connect(web).get("/");
    assert_eq!((response.status(), response.reason()), (400, "plain_http"));
    for (sent, alert) in [(&b"\0\0\0\0\0\0\0\0"[..], 10), (b"\x16\x03\x01\x00\x06\x02\x00\x00\x02ab", 50)] {
        let mut client = Client::connect(web);
        client.send(sent);
        assert_eq!(client.rest().unwrap(), [21, 3, 3, 0, 2, 2, alert], "{sent:?}");
    }
    drop(Client::connect(web));
    let counted = ["tls_unknown_name", "plain_http", "not_tls", "tls_protocol"].map(|reason| sluice.metrics().faults(reason));
    assert_eq!(counted, [2, 1, 1, 1]);
    eventually("all are over", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
}

#[test]
fn names_that_nobody_has() {
    let (web, authority) = (free_address(), Authority::new());
    let pair = authority.sign(&["own.test", "*.more.test"]);
    let sluice = Setup::new(format!(
        "secrets: {{ own: {} }}
listeners:
  web: {{ bind: [\"{web}\"], tls: {{ certificates: [own], unknown_names: refuse }}, http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ reply: 200 }}] }}] }} }}
",
        pair.secret()
    ))
    .start();
    let address = web.to_string();
    for (arguments, is_served) in [
        (&["-servername", "own.test"][..], true),
        (&["-servername", "a.more.test"], true),
        (&["-servername", "other.test"], false),
        (&["-noservername"], false),
    ] {
        let output = run("openssl", &[&["s_client", "-connect", &address], arguments].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.contains("subject=CN = own.test"), is_served, "{arguments:?}: {said}");
    }
    let expiry = sluice.metrics().sum("sluice_certificate_expiry_time_seconds", &["secret=\"own\""]);
    // (Made without a date, it is good for ages.)
    assert!(expiry > 4_000_000_000, "{expiry}");
}
