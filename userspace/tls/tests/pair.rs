//! A server session against a client session, over every way the bytes can be split.

mod common;

use std::sync::Arc;

use common::{NAME, Pair, World};
use tls::Version;

fn both_versions(test: impl Fn(&mut World)) {
    for version in [Version::Tls12, Version::Tls13] {
        let mut world = World::new();
        world.server.protocol.version_min = version;
        world.server.protocol.version_max = version;
        test(&mut world);
    }
}

#[test]
fn a_handshake_ends_alike_on_both_sides() {
    both_versions(|world| {
        world.server.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        world.client.alpn = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        let mut pair = world.pair();
        pair.connect();
        let (server, client) = (pair.server.session.outcome().unwrap(), pair.client.session.outcome().unwrap());
        assert_eq!(server.version, world.server.protocol.version_max);
        assert_eq!((server.version, server.suite, server.group), (client.version, client.suite, client.group));
        assert_eq!(
            (server.alpn.as_deref(), client.alpn.as_deref()),
            (Some(&b"h2"[..]), Some(&b"h2"[..])),
            "the server's preference counts"
        );
        assert_eq!((server.server_name.as_deref(), client.server_name.as_deref()), (Some(NAME), Some(NAME)));
        assert!(!server.resumed && server.client.is_none());
        assert_eq!(server.group, if server.version == Version::Tls13 { "X25519MLKEM768" } else { "X25519" });
        pair.exchange(b"hello");
    });
}

#[test]
fn the_split_means_nothing() {
    both_versions(|world| {
        let (server, client) = world.compile();
        for piece in (1..60).chain([100, 517, 1000, 1460, 5000]) {
            let mut pair = Pair::new(&server, &client);
            pair.piece = piece;
            pair.connect();
            pair.exchange(&vec![b'x'; 3000]);
        }
    });
}

#[test]
fn any_amount_arrives() {
    both_versions(|world| {
        let mut pair = world.pair();
        pair.connect();
        for length in [1, 16383, 16384, 16385, 200_000] {
            pair.exchange(&(0..length).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>());
        }
    });
}

#[test]
fn records_are_no_larger_than_wanted() {
    both_versions(|world| {
        world.server.record_bytes_max = 1000;
        let mut pair = world.pair();
        pair.connect();
        let bytes = vec![b'x'; 10_500];
        let sealed = pair.server.seal(&bytes);
        let (mut rest, mut records) = (&sealed[..], 0);
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            assert!(length <= 1000 + 24);
            rest = &rest[5 + length..];
            records += 1;
        }
        assert_eq!(records, 11);
        pair.client.take(&sealed);
        assert_eq!(pair.client.received, bytes);
    });
}

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Log(std::sync::atomic::AtomicUsize);

impl tls::KeyLog for Log {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if ["CLIENT_RANDOM", "SERVER_TRAFFIC_SECRET_0"].contains(&label) {
            self.0.fetch_add(usize::from(secret[0]) + 1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[test]
fn keys_are_logged_alike_on_both_sides() {
    both_versions(|world| {
        let logs = [(); 2].map(|()| Arc::new(Log::default()));
        world.server.key_log = Some(logs[0].clone());
        world.client.key_log = Some(logs[1].clone());
        world.pair().connect();
        let [server, client] = logs.map(|log| log.0.load(std::sync::atomic::Ordering::Relaxed));
        assert!(server == client && server > 0);
    });
}
