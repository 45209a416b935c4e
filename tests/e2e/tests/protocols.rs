//! Every HTTP version down with every one up, in the clear and through TLS, asked by curl and h2load.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{HOSTS, Origin, Setup, Signal, Stage, WAYS, Way, eventually, free_address, load, pattern, run, tally};
use std::fs;

const LARGE: usize = 5 << 20;

/// One request by curl, on a connection of its own: its older versions fail on the second one with prior knowledge, whoever serves.
struct Curl<'a> {
    stage: &'a Stage,
    way: Way,
    host: &'a str,
}

impl Curl<'_> {
    #[track_caller]
    fn ask(&self, path: &str, arguments: &[&str]) -> Vec<u8> {
        let Self { stage, way, host } = self;
        let (url, ca) = (stage.url(*way, host, path), stage.authority.file().display().to_string());
        let version = match way {
            Way { multiplexed: false, .. } => "--http1.1",
            Way { secure: true, .. } => "--http2",
            Way { .. } => "--http2-prior-knowledge",
        };
        let always = ["--silent", "--show-error", "--max-time", "20", "--connect-to", "::127.0.0.1:", "--cacert", &ca, version];
        let output = run("curl", &[&always, arguments, &[&url]].concat());
        assert!(output.status.success(), "{way:?} {host} {path} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[track_caller]
    fn text(&self, path: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.ask(path, arguments)).unwrap()
    }
}

#[test]
fn every_version_down_with_every_one_up() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let body = pattern(LARGE);
    let file = stage.sluice.folder().join("body");
    fs::write(&file, &body).unwrap();
    let sent = format!("@{}", file.display());
    for way in WAYS {
        for host in HOSTS {
            let curl = Curl { stage: &stage, way, host };
            let version = if way.multiplexed { "2" } else { "1.1" };
            assert_eq!(curl.text("/", &["--write-out", "%{http_version} %{http_code}"]), format!("amber\n{version} 200"));
            let seen = curl.text("/headers", &[]).to_ascii_lowercase();
            let scheme = if way.secure || host == "auto.test" { "https" } else { "http" };
            assert!(seen.contains(&format!("x-forwarded-proto: {scheme}\n")), "{way:?} {host}: {seen}");
            // HTTP/2 carries it outside the fields.
            assert!(host == "two.test" || seen.contains(&format!("host: {host}:")), "{way:?} {host}: {seen}");
            let head = curl.text("/bytes/77", &["--head"]).to_ascii_lowercase();
            assert!(head.contains("content-length: 77\r\n") && head.contains("x-origin: amber\r\n"), "{way:?} {host}: {head}");
            assert!(curl.ask(&format!("/bytes/{LARGE}"), &[]) == body, "{way:?} {host}: what came down");
            assert!(curl.ask(&format!("/chunked/{LARGE}"), &[]) == body, "{way:?} {host}: what came down without a length");
            // curl asks before it sends this much, and would wait a second were it not told to go on.
            assert!(
                curl.ask("/echo", &["--data-binary", &sent, "--expect100-timeout", "15"]) == body,
                "{way:?} {host}: what went up and down"
            );
            assert_eq!(curl.text("/status/404", &["--write-out", "%{http_code}"]), "amber says 404\n404");
            assert_eq!(curl.text("/status/204", &["--write-out", "%{http_code}"]), "204");
        }
        let nobody = Curl { stage: &stage, way, host: "nobody.test" };
        let local = nobody.text("/", &["--insecure", "--write-out", "%{http_code} %header{x-sluice-reason}"]);
        assert!(local.ends_with("404 no_route"), "{way:?}: {local}");
    }
}

fn address_of(stage: &Stage, secure: bool, path: &str) -> String {
    if secure { format!("https://{}{path}", stage.secure) } else { format!("http://{}{path}", stage.plain) }
}

#[test]
fn many_streams_at_once() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    for secure in [false, true] {
        for host in HOSTS {
            let url = address_of(&stage, secure, "/bytes/2000");
            assert_eq!(tally(load(&url, host, &["-n2000"])), (2000, 0), "{host}, TLS: {secure}");
        }
    }
}

#[test]
fn changes_of_configuration_under_load() {
    let origin = Origin::start("amber");
    let stage = Stage::start(&origin);
    let loads: Vec<_> = [(false, "one.test"), (false, "two.test"), (true, "two.test"), (true, "auto.test")]
        .map(|(secure, host)| load(&address_of(&stage, secure, "/delay/20"), host, &["-n8000"]))
        .into();
    let connections = || stage.sluice.metrics().sum("sluice_downstream_connections_active", &["listener=\"plain\""]);
    eventually("the load is on", || connections() == 20);
    for version in 2..=6 {
        stage.push(&version.to_string());
        assert_eq!(connections(), 20, "no connection is closed");
    }
    for load in loads {
        assert_eq!(tally(load), (8000, 0));
    }
}

/// What the process was asked before a drain is answered; who asks for more is told to go elsewhere.
#[test]
fn drained_under_load() {
    let origin = Origin::start("amber");
    let mut stage = Stage::start(&origin);
    // As many as may be under way at once, so that none is asked for after the drain has begun.
    let loads: Vec<_> = [(false, "one.test"), (false, "two.test"), (true, "two.test")]
        .map(|(secure, host)| load(&address_of(&stage, secure, "/delay/2000"), host, &["-n100"]))
        .into();
    eventually("all requests are under way", || stage.sluice.metrics().sum("sluice_requests_active", &[]) >= 300);
    stage.sluice.signal(Signal::TERM);
    assert!(stage.sluice.wait().success(), "it leaves when the last request is answered");
    for load in loads {
        assert_eq!(tally(load), (100, 0));
    }
}

#[test]
fn settings_are_what_the_configuration_says() {
    let origin = Origin::start("amber");
    for (down, up, said, connects) in [
        ("{}", "{}", ["MAX_CONCURRENT_STREAMS(0x03):100", "INITIAL_WINDOW_SIZE(0x04):262144"], 1),
        (
            "{ streams: 7, stream_window: 100KiB }",
            "{ streams: 2 }",
            ["MAX_CONCURRENT_STREAMS(0x03):7", "INITIAL_WINDOW_SIZE(0x04):102400"],
            3,
        ),
    ] {
        let (web, back) = (free_address(), free_address());
        let sites = |cluster: &str| format!("{{ sites: [{{ hosts: [\"*\"], routes: [{{ to: {cluster} }}] }}] }}");
        let sluice = Setup::new(format!(
            "listeners:
  web: {{ bind: [\"{web}\"], http: {}, http2: {down} }}
  back: {{ bind: [\"{back}\"], http: {} }}
clusters:
  app: {{ endpoints: [\"{back}\"], protocol: http2, http2: {up} }}
  origin: {{ endpoints: [\"{origin}\"] }}
",
            sites("app"),
            sites("origin"),
        ))
        .with(&["--workers", "1"])
        .start();
        let output = run("nghttp", &["--verbose", "--null-out", &format!("http://{web}/delay/1")]);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.iter().all(|said| shown.contains(said)), "{down}: {shown}");
        // Beyond what one connection to the endpoint may carry, another is opened.
        assert_eq!(tally(load(&format!("http://{web}/delay/1000"), "test", &["-n6", "-c1", "-m6"])), (6, 0), "{up}");
        let opened = sluice.metrics().sum("sluice_upstream_connects_total", &["cluster=\"app\""]);
        assert!(if connects == 1 { opened == 1 } else { opened >= connects }, "{up}: {opened}");
    }
}

#[test]
fn the_authority_goes_up_in_the_clear() {
    let (web, back) = (free_address(), free_address());
    let site = |hosts: &str, says: &str| format!("{{ hosts: [{hosts}], routes: [{{ reply: {{ body: {says} }} }}] }}");
    let _sluice = Setup::new(format!(
        "listeners:
  web: {{ bind: [\"{web}\"], http: {{ sites: [{{ hosts: [\"*\"], routes: [{{ to: two }}] }}] }} }}
  back: {{ bind: [\"{back}\"], http: {{ sites: [{}, {}] }} }}
clusters:
  two: {{ endpoints: [\"{back}\"], protocol: http2 }}
",
        site("shop.test", "shop"),
        site("\"*\"", "other"),
    ))
    .start();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for (host, expect) in [("shop.test", "shop"), ("SHOP.test:8080", "shop"), ("news.test", "other")] {
            let output = run("curl", &["--silent", version, "--header", &format!("host: {host}"), &format!("http://{web}/")]);
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expect, "{version} {host}");
        }
    }
}

#[test]
fn a_drain_says_goaway_and_answers_what_was_asked() {
    let origin = Origin::start("amber");
    let mut stage = Stage::start(&origin);
    let url = format!("http://{}/delay/1500", stage.plain);
    let mut asking = std::process::Command::new("nghttp");
    asking.args(["--verbose", "--header", ":authority: two.test", &url]).stdout(std::process::Stdio::piped());
    let asking = asking.spawn().unwrap();
    eventually("it is asked", || stage.sluice.metrics().sum("sluice_requests_active", &["listener=\"plain\""]) == 1);
    stage.sluice.signal(Signal::TERM);
    let shown = String::from_utf8_lossy(&asking.wait_with_output().unwrap().stdout).into_owned();
    let (goaway, answer) = (shown.find("recv GOAWAY frame"), shown.find(":status: 200"));
    assert!(goaway.zip(answer).is_some_and(|(goaway, answer)| goaway < answer), "{shown}");
    assert!(stage.sluice.wait().success());
}
