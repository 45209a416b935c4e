//! Each feature of the engine that a kernel may lack, forced away once: everything still works.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Client, Origin, PATIENCE, Setup, eventually, free_address, pattern, run};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
};

fn without(features: &[&str]) {
    let (web, bytes, origin, far) = (free_address(), free_address(), Origin::start("amber"), Origin::tcp());
    let text = format!(
        r#"
listeners:
  web: {{ bind: ["{web}"], http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
  bytes: {{ bind: ["{bytes}"], tcp: {{ to: far }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
  far: {{ endpoints: ["{far}"] }}
"#
    );
    let arguments: Vec<&str> = features.iter().flat_map(|feature| ["--without", *feature]).collect();
    let sluice = Setup::new(text).with(&arguments).with(&["--workers", "1"]).start();
    bodies(web);
    echo(bytes, &pattern(8 << 20));
    fault(web);
    load(web);
    eventually("all is closed", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
}

fn bodies(web: SocketAddr) {
    let mut client = Client::connect(web);
    for count in [0, 1, 1_000, 65_536, 1 << 20, 5 << 20] {
        for path in ["bytes", "chunked"] {
            assert!(client.get(&format!("/{path}/{count}")).body == pattern(count), "GET /{path}/{count}");
        }
        let mut reader = Client::connect(web);
        let mut writer = reader.twin();
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.send(format!("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: {count}\r\n\r\n"));
                writer.send(pattern(count));
            });
            assert!(reader.response().body == pattern(count), "echo of {count}");
        });
    }
    client.send("GET /bytes/10 HTTP/1.1\r\nhost: test\r\n\r\n".repeat(50));
    (0..50).for_each(|_| assert_eq!(client.response().body, pattern(10)));
}

fn echo(address: SocketAddr, body: &[u8]) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(body).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        (&stream).read_to_end(&mut got).unwrap();
        assert!(got == body, "{} bytes came back", got.len());
    });
}

fn fault(web: SocketAddr) {
    let mut client = Client::connect(web);
    assert_eq!(client.get("/garbage").status(), 502);
    assert!(client.try_get("/die").is_err());
}

fn load(web: SocketAddr) {
    for path in ["bytes/100", "bytes/200000"] {
        let output = run("wrk", &["--threads", "1", "--connections", "64", "--duration", "1s", &format!("http://{web}/{path}")]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    }
}

#[test]
fn without_defer_taskrun() {
    without(&["defer_taskrun"]);
}

#[test]
fn without_incremental_buffers() {
    without(&["incremental_buffers"]);
}

#[test]
fn without_receive_credit() {
    without(&["receive_credit"]);
}

#[test]
fn without_splice() {
    without(&["splice"]);
}

#[test]
fn without_any() {
    without(&["defer_taskrun", "incremental_buffers", "receive_credit", "splice"]);
}

#[test]
fn with_all() {
    without(&[]);
}
