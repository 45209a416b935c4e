//! Bytes carried as they are: both halves, each with its own end, and who sent them.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use e2e::{Client, Origin, PATIENCE, Scripted, Setup, Sluice, eventually, free_address, pattern};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

fn carrying(to: SocketAddr, more: &str) -> (SocketAddr, Sluice) {
    let front = free_address();
    let text = format!(
        "listeners:\n  bytes: {{ bind: [\"{front}\"], tcp: {{ to: far }} }}\nclusters:\n  far: {{ endpoints: [\"{to}\"]{more} }}\n"
    );
    (front, Setup::new(text).start())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// One end of each connection in the test's hands.
fn pair() -> (TcpStream, TcpStream, Sluice) {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let (front, sluice) = carrying(far.local_addr().unwrap(), "");
    let near = connect(front);
    let far = far.accept().unwrap().0;
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    (near, far, sluice)
}

#[test]
fn an_echo_through_it() {
    let origin = Origin::tcp();
    let (front, sluice) = carrying(origin.address(), "");
    for count in [0, 1, 1_000, 100_000, 2 << 20] {
        let stream = connect(front);
        let writer = stream.try_clone().unwrap();
        let sent = thread::spawn(move || {
            (&writer).write_all(&pattern(count)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        assert!(read_all(&stream) == pattern(count), "{count}");
        sent.join().unwrap();
    }
    eventually("all is closed", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
    assert_eq!(sluice.metrics().sum("sluice_downstream_connections_total", &["listener=\"bytes\""]), 5);
}

#[test]
fn either_side_may_end_first() {
    let (mut near, mut far, _sluice) = pair();
    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&far), b"question");
    far.write_all(b"answer").unwrap();
    drop(far);
    assert_eq!(read_all(&near), b"answer");

    let (mut near, mut far, _sluice) = pair();
    far.write_all(b"greeting").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&near), b"greeting");
    near.write_all(b"late word").unwrap();
    drop(near);
    assert_eq!(read_all(&far), b"late word");
}

#[test]
fn a_reset_is_passed_on() {
    for near_breaks in [false, true] {
        let (near, far, sluice) = pair();
        let (breaking, mut other) = if near_breaks { (near, far) } else { (far, near) };
        // What came before stands; that nothing more comes is no end.
        (&breaking).write_all(b"some").unwrap();
        other.read_exact(&mut [0; 4]).unwrap();
        rustix::net::sockopt::set_socket_linger(&breaking, Some(core::time::Duration::ZERO)).unwrap();
        drop(breaking);
        let ended = other.read(&mut [0; 10]);
        assert!(ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset), "{near_breaks}: {ended:?}");
        eventually("it is closed", || sluice.metrics().sum("sluice_downstream_connections_active", &[]) == 0);
    }
}

#[test]
fn both_ways_at_once() {
    const COUNT: usize = 20 << 20;
    let (near, far, _sluice) = pair();
    thread::scope(|scope| {
        for stream in [&near, &far] {
            scope.spawn(move || {
                let mut stream = stream;
                stream.write_all(&pattern(COUNT)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
        }
        for stream in [&near, &far] {
            scope.spawn(move || assert!(read_all(stream) == pattern(COUNT), "not what was sent"));
        }
    });
}

#[test]
fn nobody_behind_it() {
    let (front, sluice) = carrying(free_address(), "");
    let mut stream = connect(front);
    let ended = stream.read(&mut [0; 10]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    eventually("it is counted", || sluice.metrics().faults("connect_failed") == 1);
}

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn proxy_headers_out() {
    for (version, check) in [("v1", check_v1 as fn(&[u8], SocketAddr, SocketAddr)), ("v2", check_v2)] {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let (front, _sluice) = carrying(far.local_addr().unwrap(), &format!(", proxy_protocol: {version}"));
        let mut near = connect(front);
        near.write_all(b"payload").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let far = far.accept().unwrap().0;
        far.set_read_timeout(Some(PATIENCE)).unwrap();
        check(&read_all(&far), near.local_addr().unwrap(), front);
    }
}

fn check_v1(got: &[u8], client: SocketAddr, front: SocketAddr) {
    let text = String::from_utf8_lossy(got);
    assert!(text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{text:?}");
    let line = text.strip_suffix("payload").and_then(|line| line.strip_suffix("\r\n")).unwrap();
    let ports: Vec<_> = line.split(' ').skip(4).collect();
    assert_eq!(ports, [client.port().to_string(), front.port().to_string()], "{text:?}");
}

fn check_v2(got: &[u8], client: SocketAddr, front: SocketAddr) {
    let rest = got.strip_prefix(V2_SIGNATURE).unwrap();
    assert_eq!(rest[..4], [0x21, 0x11, 0, 12]);
    assert_eq!(rest[4..8], [127, 0, 0, 1]);
    assert_eq!(rest[12..14], client.port().to_be_bytes());
    assert_eq!(rest[14..16], front.port().to_be_bytes());
    assert_eq!(&rest[16..], b"payload");
}

/// `trusted` believes, `open` does not: both are told that the client is 192.0.2.7.
#[test]
fn proxy_headers_in() {
    let (trusted, open, origin) = (free_address(), free_address(), Scripted::plain());
    let _sluice = Setup::new(format!(
        r#"
listeners:
  trusted: {{ bind: ["{trusted}"], trusted: [127.0.0.0/8], proxy_protocol: accept, http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
  open: {{ bind: ["{open}"], trusted: [10.0.0.0/8], proxy_protocol: accept, http: {{ sites: [{{ hosts: ["*"], routes: [{{ to: app }}] }}] }} }}
clusters:
  app: {{ endpoints: ["{origin}"] }}
"#
    ))
    .start();
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n".to_vec();
    let v2 = [V2_SIGNATURE, &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 4, 210, 0, 80]].concat();
    for header in [&v1, &v2] {
        let mut client = Client::connect(trusted);
        client.send([header, &b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"[..]].concat());
        assert_eq!(client.response().status(), 200);
        let head = origin.next().head;
        assert!(head.contains("x-forwarded-for: 192.0.2.7\r\n"), "{head}");

        // In pieces, too.
        let mut client = Client::connect(trusted);
        for byte in [header, &b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"[..]].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().status(), 200);
        origin.next();

        // Who is not trusted speaks HTTP, and this is none.
        let mut client = Client::connect(open);
        client.send([header, &b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"[..]].concat());
        assert_eq!(client.response().status(), 400);
        assert_eq!(origin.all(), []);
    }
    assert_eq!(Client::connect(open).get("/").status(), 200);
    // A trusted source that says nothing is not served.
    let mut client = Client::connect(trusted);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.is_closed());
}
