//! A body left to the real kernel to seal, where it can; opened by our own session, to the byte and to the end.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use buf::{Chunk, Output};
use exchange::Transport;
use io::{
    Descriptor, ListenOptions, Ring, listen,
    uring::{Uring, UringOptions},
};
use model::Address;
use std::{
    cell::Cell,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::Arc,
    thread,
};
use tls::{Client, Session, Version};

mod relay;

use relay::{body, settings};

const BODY_BYTES: usize = 8 << 20;

fn listener() -> (Descriptor, SocketAddr) {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = listen(&Address::Tcp(address), ListenOptions { backlog: 64, shared: true }).unwrap();
    let local = TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    (Descriptor::Kernel(socket), local)
}

/// What a client reads until the other side ends; and whether that was told.
fn read_all(address: SocketAddr, client: &Arc<Client>, slowly: bool) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut session = Session::client(client, "relay.test").unwrap();
    let (mut plain, mut buffer) = (Vec::new(), vec![0; 30_000]);
    loop {
        let mut output = Output::default();
        session.transmit(&mut output);
        output.take(Vec::new()).iter().for_each(|piece| stream.write_all(piece).unwrap());
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            return (plain, session.has_ended());
        }
        if slowly {
            thread::yield_now();
        }
        let mut input = Chunk::copy_of(&buffer[..count]);
        while let Some(chunk) = session.receive(&mut input).unwrap() {
            plain.extend_from_slice(&chunk);
        }
    }
}

#[test]
fn whole_and_ended_in_every_suite() {
    const SUITES: [(Version, &str); 6] = [
        (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        (Version::Tls13, "TLS_AES_128_GCM_SHA256"),
        (Version::Tls13, "TLS_AES_256_GCM_SHA384"),
        (Version::Tls13, "TLS_CHACHA20_POLY1305_SHA256"),
    ];
    let can = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default().split_whitespace().any(|name| name == "tls");
    for (at, (version, suite)) in SUITES.into_iter().enumerate() {
        let (server, client) = settings(version, &[suite]);
        let uring = Uring::new(UringOptions { arena_bytes: 1 << 20, ..UringOptions::default() }).unwrap();
        let ring = Ring::uring(uring);
        let (web, address) = listener();
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin_address = origin.local_addr().unwrap();
        let sender = thread::spawn(move || origin.accept().unwrap().0.write_all(&body(BODY_BYTES)).unwrap());
        let reader = thread::spawn(move || read_all(address, &client, at % 2 == 1));
        let (inner, done) = (ring.clone(), Rc::new(Cell::new(false)));
        let over = Rc::clone(&done);
        ring.spawn(async move {
            let down = Transport::tls_server(inner.listen(web).accept().await.unwrap(), &server);
            down.handshake().await.unwrap();
            let up = Transport::from(inner.connect(&Address::Tcp(origin_address)).await.unwrap());
            down.write(|output| output.write(b"head"));
            if up.can_splice(&down) && down.clear_lane().await.unwrap() {
                while up.splice_to(&down, 1 << 20).await.unwrap() > 0 {}
            }
            loop {
                let chunk = up.receive().await.unwrap();
                if chunk.is_empty() {
                    break;
                }
                down.room().await.unwrap();
                down.write(|output| output.push(chunk));
            }
            down.write(|output| output.write(b"tail"));
            down.finish();
            down.flushed().await.unwrap();
            over.set(true);
        });
        ring.run(|| done.get() || ring.panics() > 0);
        assert_eq!(ring.panics(), 0, "{suite}");
        ring.shut_down(ring.now() + core::time::Duration::from_secs(5));
        sender.join().unwrap();
        let (read, told) = reader.join().unwrap();
        assert!(read == [b"head", &body(BODY_BYTES)[..], b"tail"].concat() && told, "{suite}: {} bytes, told {told}", read.len());
        let counts = ring.counts();
        eprintln!("{suite}: sealed {}, refused {}, bytes {}", counts.kernel_tls, counts.kernel_tls_refused, counts.kernel_tls_bytes);
        assert_eq!((counts.kernel_tls, counts.kernel_tls_refused), if can { (1, 0) } else { (0, 1) }, "{suite}");
        assert_eq!(counts.kernel_tls_bytes, if can { BODY_BYTES as u64 } else { 0 }, "{suite}");
    }
}
