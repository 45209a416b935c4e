//! Who a certificate speaks for: read from it when somebody asks, since most connections are never asked.

use std::fmt::Write;

use aws_lc_rs::digest;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate that was verified.
#[derive(Debug)]
pub struct Identity {
    certificate: Box<[u8]>,
}

impl Identity {
    /// Of a certificate in DER.
    pub fn new(certificate: &[u8]) -> Self {
        Self { certificate: certificate.into() }
    }

    /// The certificate itself, DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Its SHA-256, in lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hexadecimal(digest::digest(&digest::SHA256, &self.certificate).as_ref())
    }

    /// The subject's distinguished name, RFC 4514's way (`CN=client, O=Example`); empty when there is none.
    pub fn subject(&self) -> String {
        X509Certificate::from_der(&self.certificate).map_or_else(|_| String::new(), |(_, certificate)| certificate.subject().to_string())
    }

    /// All its alternative names.
    pub fn names(&self) -> Vec<AlternativeName> {
        alternative_names(&self.certificate)
    }
}

/// One subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AlternativeName {
    /// A host's name, in lower case.
    Dns(String),
    /// For example `spiffe://example.com/service`.
    Uri(String),
    /// A mail address.
    Email(String),
    /// An IP address.
    Ip(core::net::IpAddr),
}

/// When a certificate in DER is good no longer, in seconds since 1970; 0 when it cannot be read.
pub(crate) fn expiry(der: &[u8]) -> i64 {
    X509Certificate::from_der(der).map_or(0, |(_, certificate)| certificate.validity().not_after.timestamp())
}

/// The alternative names of a certificate in DER; none when it cannot be read.
pub(crate) fn alternative_names(der: &[u8]) -> Vec<AlternativeName> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension.value.general_names.iter().filter_map(alternative_name).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds of names identify nothing we could compare with")]
fn alternative_name(name: &GeneralName<'_>) -> Option<AlternativeName> {
    Some(match name {
        GeneralName::DNSName(name) => AlternativeName::Dns(name.to_ascii_lowercase()),
        GeneralName::URI(uri) => AlternativeName::Uri((*uri).to_owned()),
        GeneralName::RFC822Name(address) => AlternativeName::Email((*address).to_owned()),
        GeneralName::IPAddress(bytes) => AlternativeName::Ip(match **bytes {
            [a, b, c, d] => [a, b, c, d].into(),
            ref bytes => <[u8; 16]>::try_from(bytes).ok()?.into(),
        }),
        _ => return None,
    })
}

/// Whether a name is one of those written: as they are, or `*.` for one more label of a DNS name.
pub(crate) fn is_one_of(name: &AlternativeName, written: &[String]) -> bool {
    let is = |text: &str| written.iter().any(|one| one.eq_ignore_ascii_case(text));
    match name {
        // The certificate's own wildcard is a name like any other: it is for whoever names it.
        AlternativeName::Dns(name) => is(name) || name.split_once('.').is_some_and(|(_, parent)| is(&format!("*.{parent}"))),
        AlternativeName::Uri(uri) => written.contains(uri),
        AlternativeName::Email(address) => is(address),
        AlternativeName::Ip(address) => written.iter().any(|one| one.parse() == Ok(*address)),
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            break;
        }
    }
    text
}
