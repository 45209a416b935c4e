//! What is spoken: versions, cipher suites, key exchange groups, by their registered names; and what can be wrong with settings.

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{self, kx_group},
    },
    version::{TLS12, TLS13},
};

use crate::{Version, handshake::suite_name, hkdf};

/// What a listener or a cluster speaks.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The oldest version.
    pub version_min: Version,
    /// The newest.
    pub version_max: Version,
    /// Cipher suites by their registered names (`TLS_AES_128_GCM_SHA256`), best first; empty for all that are safe, of which a server takes the
    /// client's favourite. Suites of versions that are not spoken do no harm.
    pub suites: Vec<String>,
    /// Key exchange groups (`X25519MLKEM768`, `X25519`, `secp256r1`, `secp384r1`), best first; empty for all, in this order.
    /// (A server takes the client's favourite among them.)
    pub groups: Vec<String>,
}

impl Default for Protocol {
    fn default() -> Self {
        Self { version_min: Version::Tls12, version_max: Version::Tls13, suites: Vec::new(), groups: Vec::new() }
    }
}

/// Why settings cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A suite that does not exist here.
    #[error("`{0}` is no cipher suite we speak")]
    UnknownSuite(String),
    /// A group that does not exist here.
    #[error("`{0}` is no key exchange group we speak")]
    UnknownGroup(String),
    /// The oldest version is newer than the newest, or none of the suites is of a version that is spoken.
    #[error("these versions and suites leave nothing to speak")]
    NothingToSpeak,
    /// A server without any certificate.
    #[error("a server needs a certificate")]
    NoCertificate,
    /// The file has no certificate in it, or one that cannot be read.
    #[error("the certificate cannot be read: {0}")]
    BadCertificate(String),
    /// The file has no private key in it, or one that cannot be read.
    #[error("the private key cannot be read: {0}")]
    BadKey(String),
    /// Certificate and key do not belong together.
    #[error("the private key is not the certificate's")]
    KeyMismatch,
    /// A certificate authority that cannot be read, or none at all.
    #[error("the certificate authorities cannot be read: {0}")]
    BadAuthorities(String),
    /// A revocation list that cannot be read.
    #[error("the revocation list cannot be read: {0}")]
    BadRevocations(String),
    /// A name that no certificate could have.
    #[error("`{0}` is neither a host's name nor an IP address")]
    BadName(String),
    /// Record content beyond what a record may hold, or hardly anything.
    #[error("a record holds {0} bytes at least and {1} at most")]
    BadRecordBytes(u16, u16),
    /// Not one key, or a line that is not one.
    #[error("line {0} is no ticket key: 64 hexadecimal digits")]
    BadTicketKey(usize),
    /// There is no key to write tickets with, or more than are kept.
    #[error("between 1 and {0} ticket keys are needed")]
    TicketKeyCount(usize),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// The hybrid first: what is recorded today is not to be read by tomorrow's machines.
const GROUPS: [&dyn SupportedKxGroup; 4] = [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

impl Protocol {
    /// Every suite there is, by its registered name, best first.
    pub fn known_suites() -> impl Iterator<Item = &'static str> {
        aws_lc_rs::DEFAULT_CIPHER_SUITES.iter().map(|suite| suite_name(suite.suite()))
    }

    /// Every group there is, by its registered name, best first.
    pub fn known_groups() -> impl Iterator<Item = &'static str> {
        GROUPS.into_iter().map(group_name)
    }

    /// What rustls calls this.
    pub(crate) fn compile(&self) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), SettingsError> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = choose(&self.groups, &GROUPS, |group| group_name(*group)).map_err(SettingsError::UnknownGroup)?;
        provider.cipher_suites =
            choose(&self.suites, &hkdf::suites(), |suite| suite_name(suite.suite())).map_err(SettingsError::UnknownSuite)?;
        let spoken = self.version_min..=self.version_max;
        let mut versions = vec![&TLS13, &TLS12];
        versions.retain(|version| spoken.contains(if **version == TLS13 { &Version::Tls13 } else { &Version::Tls12 }));
        // Beyond the versions a client must be able to verify with the suites that are left.
        let is_spoken = |suite: &rustls::SupportedCipherSuite| versions.contains(&suite.version());
        if !provider.cipher_suites.iter().any(is_spoken) {
            return Err(SettingsError::NothingToSpeak);
        }
        let versions =
            versions.into_iter().filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version)).collect();
        Ok((Arc::new(provider), versions))
    }
}

fn group_name(group: &dyn SupportedKxGroup) -> &'static str {
    group.name().as_str().unwrap_or_default()
}

/// Those of `all` that are wanted, in the order they are wanted in; the unknown name if there is one.
fn choose<T: Copy>(wanted: &[String], all: &[T], name: impl Fn(&T) -> &'static str) -> Result<Vec<T>, String> {
    if wanted.is_empty() {
        return Ok(all.to_vec());
    }
    wanted
        .iter()
        .map(|wanted| all.iter().find(|one| name(one).eq_ignore_ascii_case(wanted)).copied().ok_or_else(|| wanted.clone()))
        .collect()
}
