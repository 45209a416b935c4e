//! Origins that have to prove who they are.

mod common;

use common::{Authority, NAME, World};
use model::{Blame, Cause, Retry};
use tls::{Authorities, Client, ClientSettings, SettingsError, Verification, Version};

#[test]
fn only_who_proves_its_name_is_spoken_to() {
    let other = Authority::new("Other");
    let world = World::new();
    let ours = || world.authority.authorities();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let table = [
        ("its name", Verification::Name(ours()), None, true),
        ("another name", Verification::Name(ours()), Some("other.example.com"), false),
        ("another authority", Verification::Name(other.authorities()), None, false),
        ("one of the names", Verification::OneOf(ours(), names(&["x", NAME])), Some("other.example.com"), true),
        ("a wildcard", Verification::OneOf(ours(), names(&["*.example.com"])), None, true),
        ("none of the names", Verification::OneOf(ours(), names(&["x.example.com"])), None, false),
        ("one of the names, another authority", Verification::OneOf(other.authorities(), names(&[NAME])), None, false),
        ("anybody", Verification::None, Some("other.example.com"), true),
    ];
    for version in &[Version::Tls12, Version::Tls13] {
        for (what, verification, name, is_good) in &table {
            let mut world = World { authority: Authority::new("unused"), server: world.server.clone(), client: world.client.clone() };
            world.server.protocol.version_max = *version;
            world.client.verification = verification.clone();
            world.client.server_name = name.map(Into::into);
            let mut pair = world.pair();
            pair.run();
            let fault = pair.client.fault;
            assert_eq!(fault.is_none(), *is_good, "{what}, {version:?}");
            if let Some(fault) = fault {
                assert_eq!((fault.cause, fault.blame, fault.retry), (Cause::UpstreamTlsVerification, Blame::Origin, Retry::Safe), "{what}");
                assert_eq!(pair.server.fault.unwrap().cause, Cause::TlsCertificateRejected, "the server is told: {what}, {version:?}");
            } else {
                assert_eq!(pair.server.session.outcome().unwrap().server_name.as_deref(), Some(name.unwrap_or(NAME)));
                pair.exchange(b"hello");
            }
        }
    }
}

#[test]
fn nothing_shared_is_told_on_both_sides() {
    type Change = fn(&mut World);
    let table: [(&str, Change); 4] = [
        ("application protocols", |world| {
            world.server.alpn = vec![b"h2".to_vec()];
            world.client.alpn = vec![b"http/1.1".to_vec()];
        }),
        ("versions", |world| {
            world.server.protocol.version_min = Version::Tls13;
            world.client.protocol.version_max = Version::Tls12;
        }),
        ("suites", |world| {
            world.server.protocol.suites = vec!["TLS_AES_128_GCM_SHA256".into()];
            world.client.protocol.suites = vec!["TLS_AES_256_GCM_SHA384".into()];
        }),
        ("groups", |world| {
            world.server.protocol.groups = vec!["secp384r1".into()];
            world.client.protocol.groups = vec!["X25519".into()];
        }),
    ];
    for (what, change) in table {
        let mut world = World::new();
        change(&mut world);
        let mut pair = world.pair();
        pair.run();
        assert_eq!(pair.server.fault.unwrap().cause, Cause::TlsNothingShared, "{what}");
        assert_eq!(pair.client.fault.unwrap().cause, Cause::UpstreamTlsHandshake, "{what}");
    }
}

#[test]
fn suites_and_groups_are_those_that_are_named() {
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        for group in ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"] {
            let mut world = World::new();
            world.server.protocol.suites = vec![suite.into()];
            world.server.protocol.groups = vec![group.into()];
            let mut pair = world.pair();
            pair.connect().exchange(b"hello");
            let outcome = pair.server.session.outcome().unwrap();
            assert_eq!((outcome.suite, outcome.group), (suite, group));
        }
    }
    for suite in [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ] {
        let mut world = World::new();
        world.server.protocol.suites = vec![suite.into()];
        let mut pair = world.pair();
        pair.connect().exchange(&vec![b'x'; 40_000]);
        assert_eq!((pair.server.session.outcome().unwrap().suite, pair.server.session.outcome().unwrap().version), (suite, Version::Tls12));
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    type Change = fn(&mut ClientSettings);
    let world = World::new();
    let refused = |change: Change| {
        let mut settings = world.client.clone();
        change(&mut settings);
        Client::compile(&settings).unwrap_err().to_string()
    };
    let table: [(Change, &str); 5] = [
        (|settings| settings.protocol.suites = vec!["RC4".into()], "`RC4` is no cipher suite we speak"),
        (|settings| settings.protocol.groups = vec!["x448".into()], "`x448` is no key exchange group we speak"),
        (|settings| settings.server_name = Some("not a name".into()), "`not a name` is neither a host's name nor an IP address"),
        (|settings| settings.record_bytes_max = 511, "a record holds 512 bytes at least and 16384 at most"),
        (|settings| settings.record_bytes_max = 16385, "a record holds 512 bytes at least and 16384 at most"),
    ];
    for (change, error) in table {
        assert_eq!(refused(change), error);
    }
    let versions: Change = |settings| {
        settings.protocol.version_max = Version::Tls12;
        settings.protocol.suites = vec!["TLS_AES_128_GCM_SHA256".into()];
    };
    assert_eq!(refused(versions), "these versions and suites leave nothing to speak");
    assert!(matches!(Authorities::from_pem(b"nothing"), Err(SettingsError::BadAuthorities(_))));
}
