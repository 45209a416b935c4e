//! Large bodies whose records the kernel seals, as curl and openssl see them. A kernel that cannot (no module `tls`) must refuse, be counted as
//! having refused, and nobody must notice.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Authority, Origin, Setup, Sluice, eventually, free_address, pattern, run};
use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
};

const VERSIONS: [[&str; 3]; 2] = [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]];
const LARGE: usize = 64 << 20;

/// A listener for HTTP and one for TCP, both with TLS that is left to the kernel.
struct Site {
    web: SocketAddr,
    bytes: SocketAddr,
    sluice: Sluice,
    _origins: [Origin; 2],
}

impl Site {
    fn start(arguments: &[&str]) -> Self {
        let (web, bytes, origin, far, authority) =
            (free_address(), free_address(), Origin::start("amber"), Origin::tcp(), Authority::new());
        let tls = "tls: { certificates: [shop], encrypt_bodies: kernel }";
        let sluice = Setup::new(format!(
            r#"
secrets: {{ shop: {} }}
listeners:
  web: {{ bind: ["{web}"], {tls}, http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
  bytes: {{ bind: ["{bytes}"], {tls}, tcp: {{ to: far }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
  far: {{ endpoints: ["{far}"] }}
"#,
            authority.sign(&["shop.test"]).secret()
        ))
        .with(&["--workers", "1"])
        .with(arguments)
        .start();
        Self { web, bytes, sluice, _origins: [origin, far] }
    }

    fn counted(&self, what: &str) -> i64 {
        self.sluice.metrics().sum(&format!("sluice_worker_kernel_tls_{what}_total"), &[])
    }

    /// What curl gets of these paths, one after the other on one connection.
    fn curl(&self, arguments: &[&str], paths: &[&str]) -> Vec<u8> {
        let to = format!("::{}", self.web);
        let always = ["--silent", "--show-error", "--fail", "--insecure", "--http1.1", "--max-time", "200", "--connect-to", &to];
        let urls: Vec<String> = paths.iter().map(|path| format!("https://shop.test{path}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let output = run("curl", &[&always, arguments, &urls].concat());
        assert!(output.status.success(), "{arguments:?} {paths:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// Whether this kernel can seal: then it has to.
fn kernel_can() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default().split_whitespace().any(|name| name == "tls")
}

/// So many connections had a large body; what was counted of that says who sealed it.
fn judge(site: &Site, connections: i64, bytes: usize, can: bool) {
    let bytes = i64::try_from(bytes).unwrap();
    eventually("all are counted", || site.counted("connections") + site.counted("refused") == connections);
    let (sealed, refused) = (site.counted("connections"), site.counted("refused"));
    assert_eq!((sealed, refused), if can { (connections, 0) } else { (0, connections) });
    // What comes with the head, and what is there when the lane is taken, goes the ordinary way.
    eventually("the bytes are counted", || site.counted("bytes") >= if can { bytes / 2 } else { 0 });
    assert!(site.counted("bytes") <= if can { bytes } else { 0 });
    assert_eq!(site.counted("ended"), 0);
}

#[test]
fn bodies_arrive_whole() {
    let site = Site::start(&[]);
    for version in VERSIONS {
        assert!(site.curl(&version, &[&format!("/bytes/{LARGE}")]) == pattern(LARGE), "{version:?}");
    }
    judge(&site, 2, 2 * LARGE, kernel_can());
}

#[test]
fn every_suite_and_what_follows_on_the_connection() {
    const SUITES: [[&str; 2]; 6] = [
        ["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        ["--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        ["--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"],
        ["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"],
        ["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"],
        ["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"],
    ];
    let site = Site::start(&[]);
    let sizes = [100, 4 << 20, 10, 0, 100_000, 1 << 20, 16_385, 2];
    let paths: Vec<String> = sizes.iter().map(|size| format!("/bytes/{size}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let wanted: Vec<u8> = sizes.iter().flat_map(|size| pattern(*size)).collect();
    for (at, suite) in SUITES.into_iter().enumerate() {
        let arguments = [&VERSIONS[at / 3][..], &suite].concat();
        assert!(site.curl(&arguments, &paths) == wanted, "{suite:?}");
    }
    judge(&site, 6, SUITES.len() * wanted.len(), kernel_can());
}

/// A client that reads slowly leaves records in the kernel, in front of TCP; the end must not overtake them.
#[test]
fn slow_clients_get_everything_before_the_end() {
    let site = Site::start(&[]);
    let (size, slow) = (6 << 20, ["--limit-rate", "3M", "--header", "connection: close"]);
    thread::scope(|scope| {
        for version in VERSIONS {
            let site = &site;
            scope.spawn(move || {
                let arguments = [&version[..], &slow].concat();
                assert!(site.curl(&arguments, &[&format!("/bytes/{size}")]) == pattern(size), "{version:?}");
            });
        }
    });
    judge(&site, 2, 2 * size, kernel_can());
}

/// What `openssl s_client` reads after it has written `input`, until the other side ends; and whether that said so.
fn openssl(address: SocketAddr, version: &str, input: &[u8]) -> (Vec<u8>, bool) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-ign_eof", version, "-connect", &address.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (mut read, mut said) = (Vec::new(), String::new());
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        scope.spawn(|| stderr.read_to_string(&mut said).unwrap());
        stdout.read_to_end(&mut read).unwrap();
    });
    child.wait().unwrap();
    (read, !said.contains("unexpected eof"))
}

#[test]
fn the_end_is_told() {
    let site = Site::start(&[]);
    for version in ["-tls1_2", "-tls1_3"] {
        let request = b"GET /bytes/3000000 HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n";
        let (read, is_told) = openssl(site.web, version, request);
        assert!(read.ends_with(&pattern(3_000_000)) && is_told, "{version}: {} bytes", read.len());
    }
    judge(&site, 2, 2 * 3_000_000, kernel_can());
}

/// A TCP listener's bytes: what is echoed back is sealed by the kernel once it is much.
#[test]
fn bytes_of_tcp_listeners() {
    let site = Site::start(&[]);
    let sent = pattern(2 << 20);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", version, "-connect", &site.bytes.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut read = vec![0; sent.len()];
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                stdin.write_all(&sent).unwrap();
                stdin
            });
            stdout.read_exact(&mut read).unwrap();
            drop(writer.join().unwrap());
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(read == sent, "{version}");
    }
    judge(&site, 2, 2 * sent.len(), kernel_can());
}

#[test]
fn done_without() {
    let site = Site::start(&["--without", "kernel_tls"]);
    for version in VERSIONS {
        assert!(site.curl(&version, &["/bytes/3000000", "/bytes/10"]) == [pattern(3_000_000), pattern(10)].concat());
    }
    judge(&site, 2, 2 * 3_000_000, false);
}
