//! Our record layer against rustls' own, which was written by others: data both ways, changes of keys both ways, the end.

mod common;

use common::{End, World, connect_rustls, deliver, rustls_client};
use model::Fault;
use rustls::SupportedProtocolVersion;
use tls::{IDLE_RECORDS_MAX, Session};

const SUITES: [(&str, &SupportedProtocolVersion); 6] = [
    ("TLS_AES_128_GCM_SHA256", &rustls::version::TLS13),
    ("TLS_AES_256_GCM_SHA384", &rustls::version::TLS13),
    ("TLS_CHACHA20_POLY1305_SHA256", &rustls::version::TLS13),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", &rustls::version::TLS12),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", &rustls::version::TLS12),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", &rustls::version::TLS12),
];

#[test]
fn every_suite_is_understood() {
    for (suite, version) in SUITES {
        let mut world = World::new();
        world.server.protocol.suites = vec![suite.into()];
        let (server, _) = world.compile();
        for piece in [1, 100, usize::MAX] {
            let (mut end, mut rustls) = (End::new(Session::server(&server)), rustls_client(&world, version));
            connect_rustls(&mut end, &mut rustls);
            assert_eq!(end.session.outcome().unwrap().suite, suite);
            let bytes: Vec<u8> = (0..40_000_u32).map(|at| at.to_le_bytes()[0]).collect();
            for part in [&bytes[..1], &bytes[..20_000], &bytes] {
                let sealed = rustls.seal(part);
                deliver(&mut end, &sealed, piece);
                assert!(std::mem::take(&mut end.received) == part, "{suite}");
                let sealed = end.seal(part);
                assert!(rustls.open(&sealed) == part, "{suite}");
            }
            let finish = rustls.finish();
            deliver(&mut end, &finish, piece);
            assert!(end.session.has_ended());
            let finish = end.finish();
            assert!(rustls.open(&finish).is_empty() && rustls.has_ended());
        }
    }
}

#[test]
fn keys_change_whenever_the_peer_wants() {
    let world = World::new();
    let (server, _) = world.compile();
    let (mut end, mut rustls) = (End::new(Session::server(&server)), rustls_client(&world, &rustls::version::TLS13));
    connect_rustls(&mut end, &mut rustls);
    for round in 0..3 * u32::from(IDLE_RECORDS_MAX) {
        rustls.change_keys();
        let sealed = [rustls.take(), rustls.seal(b"new keys")].concat();
        deliver(&mut end, &sealed, 5);
        assert_eq!((std::mem::take(&mut end.received), end.fault), (b"new keys".to_vec(), None), "round {round}");
        assert!(end.session.wants_output(), "rustls asks for ours to be changed too");
        let sealed = end.seal(b"ours too");
        assert_eq!(rustls.open(&sealed), b"ours too", "round {round}");
    }
}

#[test]
fn keys_that_change_and_change_are_a_fault() {
    let world = World::new();
    let (server, _) = world.compile();
    let (mut end, mut rustls) = (End::new(Session::server(&server)), rustls_client(&world, &rustls::version::TLS13));
    connect_rustls(&mut end, &mut rustls);
    for round in 0..=IDLE_RECORDS_MAX {
        assert_eq!(end.fault, None, "round {round}");
        rustls.change_keys();
        let sealed = rustls.take();
        deliver(&mut end, &sealed, usize::MAX);
        let answer = end.transmit();
        if end.fault.is_none() {
            rustls.open(&answer);
        }
    }
    assert_eq!(end.fault, Some(Fault::client(model::Cause::TlsProtocol)));
}
