//! What we show of ourselves: a certificate chain with its key, and the choice among thousands of them by the name a client asks for.

use std::sync::Arc;

use hashbrown::HashMap;
use rustls::{
    Error, SignatureAlgorithm, SignatureScheme,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    AlternativeName, SettingsError,
    identity::{Identity, alternative_names, expiry},
};

/// A certificate chain and its private key, read and found to belong together. Shared by all settings that name it, so that a change of one
/// among thousands reads one.
#[derive(Debug)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    names: Box<[Box<str>]>,
    expires: i64,
}

impl Certificate {
    /// Of PEM files: the chain, leaf first; the key (PKCS#8, PKCS#1 or SEC1); an OCSP response in DER to be stapled.
    pub fn from_pem(chain: &[u8], key: &[u8], staple: Option<Vec<u8>>) -> Result<Self, SettingsError> {
        let unreadable = |error: &dyn core::fmt::Display| SettingsError::BadCertificate(error.to_string());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        let leaf = chain.first().ok_or_else(|| unreadable(&"there is none in it"))?;
        let expires = expiry(leaf);
        let names = alternative_names(leaf).into_iter().filter_map(|name| match name {
            AlternativeName::Dns(name) => Some(name.into_boxed_str()),
            AlternativeName::Uri(_) | AlternativeName::Email(_) | AlternativeName::Ip(_) => None,
        });
        let names = names.collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| SettingsError::BadKey(error.to_string()))?;
        let mut key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| refused(&error))?;
        key.ocsp = staple.filter(|staple| !staple.is_empty());
        Ok(Self { key: Arc::new(key), names, expires })
    }

    /// The DNS names it is for, in lower case, `*.` before those that stand for one more label.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// When it is good no longer, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.expires
    }

    /// Who it speaks for.
    pub fn identity(&self) -> Identity {
        Identity::new(self.key.cert.first().map_or(&[], |leaf| leaf))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what else rustls says of a key or certificate is text for a person")]
fn refused(error: &Error) -> SettingsError {
    match error {
        Error::InconsistentKeys(_) => SettingsError::KeyMismatch,
        Error::InvalidCertificate(reason) => SettingsError::BadCertificate(format!("{reason:?}")),
        other => SettingsError::BadKey(other.to_string()),
    }
}

/// Certificates by name. Whoever asks for no name, or for an unknown one, gets the first that was given, or none where names are strict.
#[derive(Debug)]
pub(crate) struct Choice {
    exact: HashMap<Box<str>, Alternatives>,
    /// By what stands behind `*.`.
    wildcard: HashMap<Box<str>, Alternatives>,
    default: Alternatives,
    strict: bool,
}

/// Certificates for one name, by the kind of their key: at most one of each, what is quick to sign with before RSA.
#[derive(Clone, Debug, Default)]
struct Alternatives(Vec<Arc<CertifiedKey>>);

impl Choice {
    pub(crate) fn new(certificates: &[Arc<Certificate>], strict: bool) -> Result<Self, SettingsError> {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for certificate in certificates {
            for name in &certificate.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcard, parent),
                    None => (&mut exact, &**name),
                };
                names.entry(name.into()).or_insert_with(Alternatives::default).add(&certificate.key);
            }
        }
        let first = certificates.first().ok_or(SettingsError::NoCertificate)?;
        let mut default = Alternatives::default();
        default.add(&first.key);
        // Its twin with another kind of key is the default's too.
        for twin in certificates.iter().filter(|other| other.names == first.names) {
            default.add(&twin.key);
        }
        Ok(Self { exact, wildcard, default, strict })
    }

    /// Whether nothing is shown to who asks for this name.
    pub(crate) fn refuses(&self, name: Option<&str>) -> bool {
        self.strict && self.named(name).iter().all(Option::is_none)
    }

    /// What stands under exactly this name, and under a wildcard.
    fn named(&self, name: Option<&str>) -> [Option<&Alternatives>; 2] {
        let wildcard = || self.wildcard.get(name?.split_once('.')?.1);
        [name.and_then(|name| self.exact.get(name)), wildcard()]
    }

    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if self.refuses(name) {
            return None;
        }
        let [exact, wildcard] = self.named(name);
        let found = [exact, wildcard, Some(&self.default)].into_iter().flatten().find_map(|alternatives| alternatives.usable(schemes));
        // When the client can verify none of ours, rustls says so to it.
        found.or_else(|| self.default.0.first()).cloned()
    }
}

impl Alternatives {
    fn add(&mut self, key: &Arc<CertifiedKey>) {
        let kind = key.key.algorithm();
        if self.0.iter().all(|other| other.key.algorithm() != kind) {
            let at = if kind == SignatureAlgorithm::RSA { self.0.len() } else { 0 };
            self.0.insert(at, Arc::clone(key));
        }
    }

    fn usable(&self, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some())
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // (rustls gives the name in lower case and the schemes that go with the suites.)
        self.find(hello.server_name(), hello.signature_schemes())
    }
}
