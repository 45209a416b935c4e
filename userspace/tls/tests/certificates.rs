//! Which certificate a client is shown.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;

use common::{Authority, End, NAME, Pair, World};
use model::Cause;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use tls::{Certificate, Client, ClientSettings, Server, ServerSettings, Session, SettingsError, Verification};

const MANY: usize = 10_000;

/// Whether somebody who asks for `name` is shown the certificate that has `marker` among its names.
fn is_shown(server: &Arc<Server>, client: &ClientSettings, authority: &Authority, name: &str, marker: &str) -> bool {
    let mut settings = client.clone();
    settings.verification = Verification::OneOf(authority.authorities(), vec![marker.to_owned()]);
    let client = Arc::new(Client::compile(&settings).unwrap());
    let mut pair = Pair::new(server, &client);
    pair.client = End::new(Session::client(&client, name).unwrap());
    pair.run();
    assert!(pair.client.fault.is_none_or(|fault| fault.cause == Cause::UpstreamTlsVerification), "{name}: {:?}", pair.client.fault);
    pair.client.fault.is_none()
}

#[test]
fn the_nearest_name_is_shown() {
    let world = World::new();
    let issue = |names: &[&str]| world.authority.issue(names);
    let certificates = vec![
        issue(&["first.marker", "www.example.com"]),
        issue(&["exact.marker", "shop.example.com"]),
        issue(&["wildcard.marker", "*.example.com"]),
        issue(&["deeper.marker", "*.shop.example.com", "Upper.Example.NET"]),
    ];
    let server = Arc::new(Server::compile(&ServerSettings::new(certificates)).unwrap());
    let table = [
        ("www.example.com", "first.marker"),
        ("shop.example.com", "exact.marker"),
        ("SHOP.example.com", "exact.marker"),
        ("other.example.com", "wildcard.marker"),
        ("x.shop.example.com", "deeper.marker"),
        ("upper.example.net", "deeper.marker"),
        ("two.labels.example.com", "first.marker"),
        ("example.com", "first.marker"),
        ("elsewhere.example.net", "first.marker"),
        ("10.0.0.1", "first.marker"),
    ];
    for (name, marker) in table {
        assert!(is_shown(&server, &world.client, &world.authority, name, marker), "{name} is shown {marker}");
    }
}

#[test]
fn the_kind_of_key_is_one_the_client_can_verify() {
    let world = World::new();
    let rsa = world.authority.issue_with(&["rsa.marker", NAME], &PKCS_RSA_SHA256);
    let ecdsa = world.authority.issue_with(&["ecdsa.marker", NAME], &PKCS_ECDSA_P256_SHA256);
    let edwards = world.authority.issue_with(&["edwards.marker", "edwards.example.com"], &PKCS_ED25519);
    let mut both = world.client.clone();
    both.protocol.suites.clear();
    let mut rsa_only = world.client.clone();
    rsa_only.protocol.suites = vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into()];
    for certificates in [vec![rsa.clone(), ecdsa.clone(), edwards.clone()], vec![ecdsa, rsa, edwards]] {
        let server = Arc::new(Server::compile(&ServerSettings::new(certificates)).unwrap());
        let check = |client, name, marker| assert!(is_shown(&server, client, &world.authority, name, marker), "{name}: {marker}");
        check(&both, NAME, "ecdsa.marker");
        check(&rsa_only, NAME, "rsa.marker");
        check(&both, "edwards.example.com", "edwards.marker");
    }
}

#[test]
fn ten_thousand_are_told_apart() {
    let world = World::new();
    let key = KeyPair::generate().unwrap();
    let pem = key.serialize_pem();
    let certificate = |at: usize| {
        let params = CertificateParams::new(vec![format!("host{at}.example.com"), format!("*.host{at}.example.com")]).unwrap();
        let chain = params.signed_by(&key, &world.authority.issuer).unwrap().pem();
        Arc::new(Certificate::from_pem(chain.as_bytes(), pem.as_bytes(), None).unwrap())
    };
    let certificates: Vec<_> = (0..MANY).map(certificate).collect();
    let server = Arc::new(Server::compile(&ServerSettings::new(certificates)).unwrap());
    for at in [0, 1, 4321, MANY - 1] {
        let marker = format!("host{at}.example.com");
        assert!(is_shown(&server, &world.client, &world.authority, &marker, &marker));
        assert!(is_shown(&server, &world.client, &world.authority, &format!("x.{marker}"), &marker));
    }
}

#[test]
fn a_staple_goes_with_its_certificate() {
    let world = World::new();
    let (chain, key) = world.authority.sign(&[NAME], &PKCS_ECDSA_P256_SHA256);
    let staple = b"what an OCSP responder has signed".to_vec();
    for staple in [None, Some(staple)] {
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes(), staple.clone()).unwrap();
        let server = Arc::new(Server::compile(&ServerSettings::new(vec![Arc::new(certificate)])).unwrap());
        let seen = common::staple_seen(&server);
        assert_eq!(seen, staple.unwrap_or_default());
    }
}

#[test]
fn a_broken_pair_is_refused() {
    let authority = Authority::new("Test Authority");
    let (chain, key) = authority.sign(&[NAME], &PKCS_ECDSA_P256_SHA256);
    let (_, other) = authority.sign(&[NAME], &PKCS_ECDSA_P256_SHA256);
    let (_, rsa) = authority.sign(&[NAME], &PKCS_RSA_SHA256);
    let read = |chain: &str, key: &str| Certificate::from_pem(chain.as_bytes(), key.as_bytes(), None).map(|_| ());
    assert!(read(&chain, &key).is_ok());
    assert!(matches!(read(&chain, &other), Err(SettingsError::KeyMismatch)));
    assert!(matches!(read(&chain, &rsa), Err(SettingsError::KeyMismatch)));
    assert!(matches!(read(&key, &key), Err(SettingsError::BadCertificate(_))));
    assert!(matches!(read("", &key), Err(SettingsError::BadCertificate(_))));
    assert!(matches!(read(&chain, &chain), Err(SettingsError::BadKey(_))));
    assert!(matches!(read(&chain.replace('M', "N"), &key), Err(SettingsError::BadCertificate(_))));
    assert!(matches!(Server::compile(&ServerSettings::new(Vec::new())), Err(SettingsError::NoCertificate)));
}

#[test]
fn a_certificate_says_whom_it_is_for() {
    let authority = Authority::new("Test Authority");
    let certificate = authority.issue(&["Shop.Example.com", "*.example.com"]);
    assert_eq!(certificate.names().collect::<Vec<_>>(), ["shop.example.com", "*.example.com"]);
    assert_eq!(certificate.identity().fingerprint().len(), 64);
}
