//! A cluster's side of TLS: settings as data, compiled once and shared by all workers.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, KeyLog, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::SingleCertAndKey,
};

use crate::{
    Authorities, Certificate, Protocol, SettingsError,
    identity::{alternative_names, is_one_of},
    server::{RECORD_BYTES, record_bytes},
};

/// Sessions kept for resumption by one store, when nothing else is said.
pub const SESSIONS_MAX: usize = 32;

/// What a cluster is told.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// How the origin proves who it is.
    pub verification: Verification,
    /// The name asked for and verified, in place of the one that each session gives.
    pub server_name: Option<String>,
    /// What we show when the origin asks who we are.
    pub certificate: Option<Arc<Certificate>>,
    /// Application protocols, best first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// Versions, suites, groups.
    pub protocol: Protocol,
    /// Sessions kept for resumption, at most; 0 for none.
    pub sessions_max: usize,
    /// Where secrets are written for debugging.
    pub key_log: Option<Arc<dyn KeyLog>>,
    /// Bytes of content in a record we send, at most.
    pub record_bytes_max: u16,
}

impl ClientSettings {
    /// The usual: both versions, no application protocol, sessions kept.
    pub fn new(verification: Verification) -> Self {
        Self {
            verification,
            server_name: None,
            certificate: None,
            alpn: Vec::new(),
            protocol: Protocol::default(),
            sessions_max: SESSIONS_MAX,
            key_log: None,
            record_bytes_max: RECORD_BYTES,
        }
    }
}

/// How an origin proves who it is.
#[derive(Clone, Debug)]
pub enum Verification {
    /// Its certificate is signed by one of these, and for the name it is asked by.
    Name(Arc<Authorities>),
    /// Its certificate is signed by one of these, and has one of these alternative names, whatever name it is asked by: as they are written, or
    /// `*.` for one more label of a DNS name.
    OneOf(Arc<Authorities>, Vec<String>),
    /// Not at all: anybody between us and it can be it.
    None,
}

/// Compiled settings of a cluster.
#[derive(Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    server_name: Option<Box<str>>,
    sessions_max: usize,
    record_bytes_max: u16,
}

impl Client {
    /// Everything that can be wrong is found here, not by the first request.
    pub fn compile(settings: &ClientSettings) -> Result<Self, SettingsError> {
        let (provider, versions) = settings.protocol.compile()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
        let builder = builder.map_err(|_inconsistent| SettingsError::NothingToSpeak)?;
        let verifier = Arc::new(Verifier::new(&settings.verification, provider));
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        if let Some(certificate) = &settings.certificate {
            config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&certificate.key)));
        }
        if let Some(key_log) = &settings.key_log {
            config.key_log = Arc::clone(key_log);
        }
        config.enable_secret_extraction = true;
        config.alpn_protocols.clone_from(&settings.alpn);
        config.cert_decompressors.clear();
        config.resumption = resumption(settings.sessions_max);
        if let Some(name) = &settings.server_name {
            ServerName::try_from(name.as_str()).map_err(|_invalid| SettingsError::BadName(name.clone()))?;
        }
        Ok(Self {
            config: Arc::new(config),
            server_name: settings.server_name.as_deref().map(Into::into),
            sessions_max: settings.sessions_max,
            record_bytes_max: record_bytes(settings.record_bytes_max)?,
        })
    }

    /// The same settings with sessions of their own. Sessions are kept by the name that is asked for, so that endpoints which share a name but no
    /// ticket keys need one of these each; nor do workers that have their own wait for one another.
    #[must_use]
    pub fn with_own_sessions(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = resumption(self.sessions_max);
        Self { config: Arc::new(config), server_name: self.server_name.clone(), ..*self }
    }

    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(crate) fn record_bytes_max(&self) -> u16 {
        self.record_bytes_max
    }
}

fn resumption(sessions_max: usize) -> Resumption {
    if sessions_max == 0 { Resumption::disabled() } else { Resumption::in_memory_sessions(sessions_max) }
}

/// What rustls asks about an origin's certificate.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: anybody's will do.
    roots: Option<Arc<RootCertStore>>,
    /// Empty: it must be for the name that was asked for.
    names: Box<[String]>,
}

impl Verifier {
    fn new(verification: &Verification, provider: Arc<CryptoProvider>) -> Self {
        let (roots, names) = match verification {
            Verification::Name(authorities) => (Some(Arc::clone(&authorities.roots)), Box::default()),
            Verification::OneOf(authorities, names) => (Some(Arc::clone(&authorities.roots)), names.clone().into()),
            Verification::None => (None, Box::default()),
        };
        Self { provider, roots, names }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, chain, now, self.provider.signature_verification_algorithms.all)?;
        if self.names.is_empty() {
            verify_server_name(&certificate, server_name)?;
        } else if !alternative_names(leaf).iter().any(|name| is_one_of(name, &self.names)) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
