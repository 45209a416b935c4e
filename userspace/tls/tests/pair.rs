//! A server session against a client session, over every way the bytes can be split.

mod common;

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
