//! Bytes that the kernel carries (`redirect: sockmap`): all of them, in order, their ends too, and no more of them waiting than allowed.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use rustix::process::Signal;

use e2e::{PATIENCE, Setup, Sluice, eventually, free_address, pattern, pause};

const BACKLOG: usize = 1 << 20;
/// More than two systems' buffers hold: no receiver is too slow for it.
const AMPLE_BACKLOG: usize = 16 << 20;

fn start(origin: SocketAddr, more: &str) -> (SocketAddr, Sluice) {
    start_with(origin, more, BACKLOG)
}

fn start_with(origin: SocketAddr, more: &str, backlog: usize) -> (SocketAddr, Sluice) {
    let web = free_address();
    let text = format!(
        "listeners:\n  web: {{ bind: [\"{web}\"], tcp: {{ to: app }}{more} }}\nclusters:\n  app: {{ endpoints: [\"{origin}\"], redirect: {{ via: sockmap, backlog: {backlog}B }} }}\n"
    );
    let sluice = Setup::new(text).with(&["--workers", "2"]).start();
    sluice.await_listener(web);
    (web, sluice)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn redirects(sluice: &Sluice, result: &str) -> i64 {
    sluice.metrics().sum("sluice_upstream_redirects_total", &[&format!("result=\"{result}\"")])
}

/// How many of so many connections were joined.
fn joined_of(sluice: &Sluice, connections: usize) -> usize {
    const RESULTS: [&str; 5] = ["joined", "over", "busy", "refused", "without"];
    let mut counts = RESULTS.map(|_| 0);
    // (A direction whose backlog was full is counted besides.)
    eventually("every connection was looked at", || {
        counts = RESULTS.map(|result| redirects(sluice, result));
        usize::try_from(counts.iter().sum::<i64>()).is_ok_and(|sum| sum >= connections)
    });
    usize::try_from(counts[0]).expect("few")
}

/// A client's connection and its origin's, joined: a moment in which nothing lay between the two was found.
fn joined(web: SocketAddr, listener: &TcpListener, sluice: &Sluice) -> (TcpStream, TcpStream) {
    const TRIES: usize = 10;
    drop(listener.accept().expect("whoever asked whether it listens"));
    let mut before = joined_of(sluice, 1);
    for looked_at in 2..2 + TRIES {
        let mut client = connect(web);
        let (mut origin, _) = listener.accept().expect("a connection");
        client.write_all(b"!").expect("it is taken");
        origin.read_exact(&mut [0]).expect("it comes");
        let now = joined_of(sluice, looked_at);
        if core::mem::replace(&mut before, now) < now {
            return (client, origin);
        }
    }
    panic!("none of {TRIES} was joined: {}", sluice.log());
}

/// Sends `bytes` and our end while everything that comes is read; what came.
fn exchange(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(bytes).expect("it is taken");
            stream.shutdown(Shutdown::Write).expect("it is open");
        });
        let mut came = Vec::new();
        let mut reading = stream;
        reading.read_to_end(&mut came).expect("it ends well");
        came
    })
}

#[test]
fn a_conversation_stays_in_the_kernel() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, "");
    let origin = thread::spawn(move || {
        // The first connection is the one that asked whether it listens.
        for stream in listener.incoming().take(2) {
            let mut stream = stream.expect("a connection");
            let mut word = [0; 4];
            while stream.read_exact(&mut word).is_ok() {
                stream.write_all(&word).expect("it is taken");
            }
        }
    });
    let mut client = connect(web);
    for round in 0_u32..200 {
        client.write_all(&round.to_ne_bytes()).expect("it is taken");
        let mut word = [0; 4];
        client.read_exact(&mut word).expect("it is answered");
        assert_eq!(u32::from_ne_bytes(word), round);
    }
    drop(client);
    origin.join().expect("the origin did well");
    eventually("it was joined", || redirects(&sluice, "joined") >= 1);
    assert_eq!(redirects(&sluice, "full"), 0);
    eventually("most of it was carried by the kernel", || {
        sluice.metrics().sum("sluice_upstream_redirected_bytes_total", &[]) > 2 * 190 * 4
    });
}

/// Sends `bytes` both ways over each of so many connections, some of them at once, from the first moment and without a pause.
fn exchange_bulk(web: SocketAddr, listener: &TcpListener, bytes: &[u8], connections: usize, at_once: usize) {
    drop(listener.accept().expect("whoever asked whether it listens"));
    thread::scope(|scope| {
        scope.spawn(move || {
            for stream in listener.incoming().take(connections) {
                let stream = stream.expect("a connection");
                scope.spawn(move || {
                    let came = exchange(&stream, bytes);
                    assert!(came == bytes, "the origin got {} bytes", came.len());
                });
            }
        });
        for _ in 0..at_once {
            scope.spawn(move || {
                for _ in 0..connections / at_once {
                    let stream = connect(web);
                    let came = exchange(&stream, bytes);
                    assert!(came == bytes, "the client got {} bytes", came.len());
                }
            });
        }
    });
}

#[test]
fn two_hundred_times_eight_mebibytes_both_ways() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, "");
    exchange_bulk(web, &listener, &pattern(8 << 20), 200, 20);
    let joined = joined_of(&sluice, 1 + 200);
    assert!(joined > 20, "only {joined} were joined");
}

#[test]
fn bytes_that_never_pause_are_joined_in_the_midst() {
    const CONNECTIONS: usize = 4;
    let (listener, origin) = listen();
    let (web, sluice) = start_with(origin, "", AMPLE_BACKLOG);
    let bytes = pattern(64 << 20);
    exchange_bulk(web, &listener, &bytes, CONNECTIONS, CONNECTIONS);
    let joined = joined_of(&sluice, 1 + CONNECTIONS);
    assert!(joined >= CONNECTIONS / 2, "only {joined} were joined");
}

/// Nothing can be settled while the origin does not read, so userspace begins; once it does the kernel takes over.
#[test]
fn what_begins_badly_is_joined_later() {
    let (listener, origin) = listen();
    let (web, sluice) = start_with(origin, "", 64 << 10);
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4 << 10).expect("a socket");
    drop(listener.accept().expect("whoever asked whether it listens"));
    let before = joined_of(&sluice, 1);
    // More than the origin's buffer and the backlog hold, all of it there when the connection is taken.
    sluice.signal(Signal::STOP);
    pause(core::time::Duration::from_millis(50));
    let client = connect(web);
    let bytes = pattern(512 << 10);
    (&client).write_all(&bytes).expect("it is taken");
    sluice.signal(Signal::CONT);
    let (origin, _) = listener.accept().expect("a connection");
    eventually("it was tried again", || redirects(&sluice, "again") >= 2);
    let mut came = vec![0; bytes.len()];
    (&origin).read_exact(&mut came).expect("it comes");
    assert!(came == bytes);
    eventually("they are joined", || joined_of(&sluice, 2) > before);
    for (mut from, mut to) in [(&client, &origin), (&origin, &client)] {
        from.write_all(b"in the kernel").expect("it is taken");
        let mut word = [0; 13];
        to.read_exact(&mut word).expect("it comes");
        assert_eq!(&word, b"in the kernel");
        from.shutdown(Shutdown::Write).expect("it is open");
    }
    eventually("it was carried by the kernel", || sluice.metrics().sum("sluice_upstream_redirected_bytes_total", &[]) == 2 * 13);
}

#[test]
fn each_half_closes_by_itself() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, "");
    let origin = thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let mut first = [0];
            match stream.read(&mut first).expect("it begins or ends well") {
                0 => {}
                // Ends its half first, and hears what still comes.
                _ if first[0] == b'o' => {
                    stream.write_all(b"farewell").expect("it is taken");
                    stream.shutdown(Shutdown::Write).expect("it is open");
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).expect("it ends well");
                    assert_eq!(rest, b"and one more thing");
                }
                // Hears the client's end, and then answers.
                _ => {
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).expect("it ends well");
                    stream.write_all(&pattern(3 << 20)).expect("it is taken");
                }
            }
        }
    });
    let mut client = connect(web);
    client.write_all(b"o").expect("it is taken");
    let mut came = Vec::new();
    client.read_to_end(&mut came).expect("it ends well");
    assert_eq!(came, b"farewell");
    client.write_all(b"and one more thing").expect("it is taken");
    drop(client);
    let mut client = connect(web);
    client.write_all(b"client first").expect("it is taken");
    pause(core::time::Duration::from_millis(50));
    client.shutdown(Shutdown::Write).expect("it is open");
    pause(core::time::Duration::from_millis(200));
    let mut came = Vec::new();
    client.read_to_end(&mut came).expect("it ends well");
    assert!(came == pattern(3 << 20), "{} bytes", came.len());
    origin.join().expect("the origin did well");
    // Where an end came first there was nothing to join.
    // (And whoever asked; where an end came first there was nothing to join.)
    joined_of(&sluice, 3);
}

/// More than the backlog and all buffers hold: what is kept in the kernel waits there after both ends have closed their halves.
#[test]
fn what_is_kept_outlives_both_ends() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, "");
    let (mut client, mut origin) = joined(web, &listener, &sluice);
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(origin.read(&mut [0]).expect("it ends well"), 0);
    let bytes = pattern(BACKLOG + 2 * socket_buffer_max());
    thread::scope(|scope| {
        scope.spawn(|| {
            origin.write_all(&bytes).expect("it is taken");
            drop(origin);
        });
        eventually("the backlog is full", || redirects(&sluice, "full") == 1);
        let mut came = Vec::new();
        client.read_to_end(&mut came).expect("it ends well");
        assert!(came == bytes, "{} bytes of {}", came.len(), bytes.len());
    });
}

#[test]
fn a_receiver_that_stops_reading_holds_the_backlog_and_no_more() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, "");
    let (mut client, mut origin) = joined(web, &listener, &sluice);
    client.set_nonblocking(true).expect("a socket");
    // What the two systems' own buffers take besides, at both ends and in the relay: three pairs of sockets, as large as they grow by themselves.
    let buffers = 4 * socket_buffer_max();
    let block = pattern(64 << 10);
    let (mut taken, mut idle) = (0_usize, 0);
    while idle < 100 {
        match client.write(&block[taken % block.len()..]) {
            Ok(count) => (taken, idle) = (taken + count, 0),
            Err(_full) => {
                idle += 1;
                pause(core::time::Duration::from_millis(5));
            }
        }
        assert!(taken <= BACKLOG + buffers, "{taken} bytes were taken that nobody reads");
    }
    eventually("the backlog was full", || redirects(&sluice, "full") == 1);
    // And nothing of it is lost when the receiver reads again.
    client.shutdown(Shutdown::Write).expect("it is open");
    origin.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut came = Vec::new();
    origin.read_to_end(&mut came).expect("it ends well");
    assert_eq!(came.len(), taken);
    assert!(came.chunks(block.len()).all(|part| part == &block[..part.len()]));
}

#[test]
fn silence_ends_a_connection_and_talk_keeps_it() {
    let (listener, origin) = listen();
    let (web, sluice) = start(origin, ", timeouts: { idle: 1s }");
    let (_asked, _) = listener.accept().expect("whoever asked whether it listens");
    let mut client = connect(web);
    let (mut origin, _) = listener.accept().expect("a connection");
    // For longer than silence may be.
    for _ in 0..8 {
        pause(core::time::Duration::from_millis(400));
        client.write_all(b"x").expect("it is taken");
        origin.read_exact(&mut [0]).expect("it comes");
    }
    let mut rest = Vec::new();
    let _reset = client.read_to_end(&mut rest);
    eventually("the idle timeout was counted", || sluice.metrics().faults("idle_timeout") >= 1);
}

/// The largest that the kernel lets a TCP socket's buffers grow, both together.
fn socket_buffer_max() -> usize {
    let largest = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("Linux has it");
        text.split_whitespace().next_back().and_then(|word| word.parse::<usize>().ok()).expect("three numbers")
    };
    largest("tcp_rmem") + largest("tcp_wmem")
}
