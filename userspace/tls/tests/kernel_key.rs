//! The key of what we send, given away: what a kernel makes of it the peer opens, in every suite, wherever the connection stands.

mod common;

use common::{Pair, World, flatten};
use model::{Cause, Fault};
use tls::{KernelKey, Version};

const DATA: u8 = 23;
const ALERT: u8 = 21;

/// Every suite: version, name, bytes of `struct tls12_crypto_info_*`, its number there.
const SUITES: [(Version, &str, usize, u16); 6] = [
    (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 40, 51),
    (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 56, 52),
    (Version::Tls12, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 56, 54),
    (Version::Tls13, "TLS_AES_128_GCM_SHA256", 40, 51),
    (Version::Tls13, "TLS_AES_256_GCM_SHA384", 56, 52),
    (Version::Tls13, "TLS_CHACHA20_POLY1305_SHA256", 56, 54),
];

fn connected((version, suite, ..): (Version, &str, usize, u16)) -> Pair {
    let mut world = World::new();
    (world.server.protocol.version_min, world.server.protocol.version_max) = (version, version);
    world.server.protocol.suites = vec![suite.to_owned()];
    world.server.keeps_keys = true;
    let mut pair = world.pair();
    pair.connect();
    assert_eq!(pair.server.session.outcome().map(|outcome| outcome.suite), Some(suite));
    pair
}

fn sealed(key: &mut KernelKey, kind: u8, plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.seal(kind, plain, &mut bytes);
    assert_eq!(bytes.len(), plain.len() + key.expansion());
    bytes
}

#[test]
fn what_a_kernel_seals_is_opened() {
    for suite in SUITES {
        for before in [0, 1, 5] {
            let mut pair = connected(suite);
            (0..before).for_each(|_| pair.exchange(b"sealed by the session"));
            let mut key = pair.server.session.kernel_key().unwrap();
            assert!(pair.server.session.can_give_key(), "nothing has changed until it is said to be taken");
            pair.exchange(b"and still");
            key = pair.server.session.kernel_key().filter(|next| next.sequence() == key.sequence() + 1).unwrap();
            pair.server.session.key_given();
            assert!(!pair.server.session.can_give_key() && pair.server.session.kernel_key().is_none());
            for length in [1, 100, 16_384, 0, 7] {
                let record = sealed(&mut key, DATA, &vec![b'x'; length]);
                pair.client.take(&record);
                assert_eq!((core::mem::take(&mut pair.client.received), pair.client.fault), (vec![b'x'; length], None), "{suite:?}");
            }
            assert_eq!(pair.server.seal(b"given on as it is"), b"given on as it is");
            let up = pair.client.seal(b"what comes is ours to open");
            pair.server.take(&up);
            assert_eq!(pair.server.received, b"what comes is ours to open");
            assert!(pair.server.finish().is_empty() && pair.server.seal(b"after the end").is_empty());
            let end = sealed(&mut key, ALERT, &[1, 0]);
            pair.client.take(&end);
            assert!(pair.client.session.has_ended() && pair.client.fault.is_none());
        }
    }
}

/// As `linux/tls.h` lays it out: version, cipher, IV, key, salt, record number.
#[test]
fn the_kernel_is_told_in_its_own_words() {
    for suite in SUITES {
        let (version, _, length, number) = suite;
        let mut pair = connected(suite);
        pair.exchange(b"a record");
        let key = pair.server.session.kernel_key().unwrap();
        let info = key.info();
        let word = if version == Version::Tls13 { 0x0304_u16 } else { 0x0303 };
        assert_eq!((info.len(), &info[..2], &info[2..4]), (length, &word.to_ne_bytes()[..], &number.to_ne_bytes()[..]), "{suite:?}");
        assert_eq!(info[length - 8..], key.sequence().to_be_bytes());
        assert!(key.sequence() > 0 && key.sequence_max() >= 1 << 24);
        if version == Version::Tls12 && number != 54 {
            let explicit = |record: &[u8]| u64::from_be_bytes(record[5..13].try_into().unwrap());
            let (mut key, ours) = (pair.server.session.kernel_key().unwrap(), explicit(&pair.server.seal(b"x")));
            let theirs = explicit(&sealed(&mut key, DATA, b"x"));
            assert_eq!(info[4..12], theirs.to_be_bytes(), "the kernel counts from there");
            assert!(ours.abs_diff(theirs) > 1 << 40, "far from every nonce of ours");
        }
    }
}

#[test]
fn nothing_is_given_that_is_not_kept_or_not_ready() {
    let mut pair = World::new().pair();
    pair.connect();
    assert!(!pair.server.session.can_give_key() && pair.server.session.kernel_key().is_none(), "not kept");
    let mut world = World::new();
    world.server.keeps_keys = true;
    let mut pair = world.pair();
    assert!(!pair.server.session.can_give_key(), "no handshake yet");
    pair.connect();
    assert!(!pair.client.session.can_give_key(), "a client's are never kept");
    assert!(pair.server.session.can_give_key());
    pair.server.finish();
    assert!(!pair.server.session.can_give_key() && pair.server.session.kernel_key().is_none(), "it sends nothing more");
}

/// A message of the handshake's type, in a record that rustls or OpenSSL could send.
#[test]
fn a_peer_that_asks_for_another_key_is_a_fault_of_its_own() {
    let (mut world, peer) = (World::new(), &rustls::version::TLS13);
    world.server.keeps_keys = true;
    let (server, _) = world.compile();
    let mut server = common::End::new(tls::Session::server(&server));
    let mut client = common::rustls_client(&world, peer);
    common::connect_rustls(&mut server, &mut client);
    let _key = server.session.kernel_key().unwrap();
    server.session.key_given();
    client.change_keys();
    let up = client.take();
    server.take(&up);
    assert_eq!(server.fault, Some(Fault::us(Cause::TlsKeyUpdate)));
    assert!(!server.session.wants_output());
    let mut output = buf::Output::default();
    server.session.transmit(&mut output);
    assert!(flatten(&mut output).is_empty(), "nothing is sealed with a key that is given");
}
