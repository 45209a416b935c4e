//! Clients that show certificates: who is asked, who is let in, what is known of them afterwards.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::sync::Arc;

use common::{Authority, World};
use model::Cause;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, PKCS_ECDSA_P256_SHA256, RevokedCertParams, date_time_ymd};
use tls::{AlternativeName, Certificate, ClientAuthentication, Version};

struct Case {
    optional: bool,
    names: &'static [&'static str],
    revoked: Option<u64>,
    /// Serial number and names of what the client shows, and whether by our authority.
    shows: Option<(u64, &'static [&'static str], bool)>,
    fault: Option<Cause>,
}

const REQUIRED: Case = Case { optional: false, names: &[], revoked: None, shows: None, fault: None };
const CLIENT: &[&str] = &["client.example.com", "spiffe://example.com/client"];

fn run(version: Version, case: &Case) -> common::Pair {
    let mut world = World::new();
    world.server.protocol.version_min = version;
    world.server.protocol.version_max = version;
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    world.server.clients = Some(ClientAuthentication {
        optional: case.optional,
        authorities: ours.authorities(),
        revocations: case.revoked.map(|serial| revocations(&ours, serial)).unwrap_or_default().into_bytes(),
        names: case.names.iter().map(|name| (*name).to_owned()).collect(),
    });
    world.client.certificate = case.shows.map(|(serial, names, is_ours)| {
        let (chain, key) = if is_ours { &ours } else { &other }.certificate(names, &PKCS_ECDSA_P256_SHA256, serial);
        Arc::new(Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes(), None).unwrap())
    });
    let mut pair = world.pair();
    pair.run();
    pair
}

fn revocations(authority: &Authority, serial: u64) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2020, 2, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&authority.issuer).unwrap().pem().unwrap()
}

#[test]
fn who_is_let_in() {
    let missing = Some(Cause::TlsClientCertificateMissing);
    let refused = Some(Cause::TlsClientCertificateRefused);
    let table = [
        ("none shown", Case { fault: missing, ..REQUIRED }),
        ("none shown, none needed", Case { optional: true, ..REQUIRED }),
        ("ours", Case { shows: Some((1, CLIENT, true)), ..REQUIRED }),
        ("ours, not needed", Case { optional: true, shows: Some((1, CLIENT, true)), ..REQUIRED }),
        ("another authority's", Case { shows: Some((1, CLIENT, false)), fault: refused, ..REQUIRED }),
        ("another authority's, not needed", Case { optional: true, shows: Some((1, CLIENT, false)), fault: refused, ..REQUIRED }),
        ("revoked", Case { revoked: Some(7), shows: Some((7, CLIENT, true)), fault: refused, ..REQUIRED }),
        ("another one revoked", Case { revoked: Some(7), shows: Some((8, CLIENT, true)), ..REQUIRED }),
        ("the name", Case { names: &["x", "client.example.com"], shows: Some((1, CLIENT, true)), ..REQUIRED }),
        ("a wildcard", Case { names: &["*.example.com"], shows: Some((1, CLIENT, true)), ..REQUIRED }),
        ("a wildcard too far", Case { names: &["*.com"], shows: Some((1, CLIENT, true)), fault: refused, ..REQUIRED }),
        ("a URI", Case { names: &["spiffe://example.com/client"], shows: Some((1, CLIENT, true)), ..REQUIRED }),
        ("another name", Case { names: &["other.example.com"], shows: Some((1, CLIENT, true)), fault: refused, ..REQUIRED }),
        ("no names at all", Case { names: &["*.example.com"], shows: Some((1, &[], true)), fault: refused, ..REQUIRED }),
    ];
    for version in [Version::Tls12, Version::Tls13] {
        for (what, case) in &table {
            let mut pair = run(version, case);
            assert_eq!(pair.server.fault.map(|fault| fault.cause), case.fault, "{what}, {version:?}");
            if case.fault.is_some() {
                assert!(pair.client.fault.is_some(), "the client is told: {what}, {version:?}");
                continue;
            }
            pair.exchange(b"hello");
            let client = pair.server.session.outcome().unwrap().client.clone();
            assert_eq!(client.is_some(), case.shows.is_some(), "{what}, {version:?}");
        }
    }
}

#[test]
fn what_is_known_of_a_client() {
    let pair = run(Version::Tls13, &Case { shows: Some((1, CLIENT, true)), ..REQUIRED });
    let client = pair.server.session.outcome().unwrap().client.clone().unwrap();
    let names = [AlternativeName::Dns(CLIENT[0].into()), AlternativeName::Uri(CLIENT[1].into())];
    assert_eq!(client.names(), names);
    assert_eq!(client.subject(), "CN=rcgen self signed cert");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, client.der());
    assert!(client.fingerprint().len() == 64 && client.fingerprint().starts_with(&format!("{:02x}", digest.as_ref()[0])));
    assert!(pair.client.session.outcome().unwrap().client.is_none(), "only servers know clients");
}
