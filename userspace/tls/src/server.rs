//! A listener's side of TLS: settings as data, compiled once and shared by all workers.

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256_OUTPUT_LEN};
use model::Cause;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, KeyLog, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use crate::{
    Authorities, Certificate, Protocol, SettingsError, Tickets,
    certificate::Choice,
    hello::{self, Hello},
    identity::{alternative_names, is_one_of},
    record::Alert,
};

/// Bytes of a record's content when nothing else is said, and the least and most that can be.
pub(crate) const RECORD_BYTES: u16 = 16 * 1024;
const RECORD_BYTES_MIN: u16 = 512;

/// What a listener is told.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The first is for whoever asks for no name or an unknown one, unless names are strict.
    pub certificates: Vec<Arc<Certificate>>,
    /// Whether who asks for no name, or an unknown one, is refused instead.
    pub strict_names: bool,
    /// Versions, suites, groups.
    pub protocol: Protocol,
    /// Application protocols, best first; empty when none is spoken of.
    pub alpn: Vec<Vec<u8>>,
    /// Whether and with which keys sessions may be resumed.
    pub tickets: Option<Arc<Tickets>>,
    /// Whether clients show certificates.
    pub clients: Option<ClientAuthentication>,
    /// Where secrets are written for debugging.
    pub key_log: Option<Arc<dyn KeyLog>>,
    /// Bytes of content in a record we send, at most: small ones reach a slow client's screen earlier, large ones cost less.
    pub record_bytes_max: u16,
    /// Keys of what we send are kept, so that a kernel can be given them ([`Session::kernel_key`](crate::Session::kernel_key)).
    pub keeps_keys: bool,
}

impl ServerSettings {
    /// The usual: both versions, no application protocol, no tickets, no clients' certificates.
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        Self {
            certificates,
            strict_names: false,
            protocol: Protocol::default(),
            alpn: Vec::new(),
            tickets: None,
            clients: None,
            key_log: None,
            record_bytes_max: RECORD_BYTES,
            keeps_keys: false,
        }
    }
}

/// Which clients' certificates are asked for.
#[derive(Clone, Debug)]
pub struct ClientAuthentication {
    /// Whether a client without one is let in. (One with a wrong one never is.)
    pub optional: bool,
    /// Who must have signed it.
    pub authorities: Arc<Authorities>,
    /// Revocation lists, PEM: with any, every certificate of a chain must stand under one. A list that has grown old still counts.
    pub revocations: Vec<u8>,
    /// Alternative names of which it must have one: as they are written, or `*.` for one more label of a DNS name. Empty for any.
    pub names: Vec<String>,
}

/// What a client is refused for before rustls sees its hello, which would say something else of it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The newest version that is spoken, by its number.
    version_max: u16,
    names: Arc<Choice>,
}

impl Gate {
    /// The alert, and why.
    pub(crate) fn refusal(&self, hello: &Hello) -> Option<(Alert, Cause)> {
        if hello.version_max < hello::TLS12 {
            // RFC 8446 appendix D: what else such a hello lacks does not matter.
            return Some((Alert::PROTOCOL_VERSION, Cause::TlsNothingShared));
        }
        if hello.is_fallback && hello.version_max < self.version_max {
            return Some((Alert::INAPPROPRIATE_FALLBACK, Cause::TlsNothingShared)); // RFC 7507 §3
        }
        let unknown = self.names.refuses(hello.server_name.as_deref());
        unknown.then_some((Alert::UNRECOGNIZED_NAME, Cause::TlsUnknownName)) // RFC 6066 §3
    }
}

/// Compiled settings of a listener.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    gate: Arc<Gate>,
    record_bytes_max: u16,
    keeps_keys: bool,
}

impl Server {
    /// Everything that can be wrong is found here, not by the first client.
    pub fn compile(settings: &ServerSettings) -> Result<Self, SettingsError> {
        let (provider, versions) = settings.protocol.compile()?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
        let builder = builder.map_err(|_inconsistent| SettingsError::NothingToSpeak)?;
        let builder = match &settings.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier(&provider)?),
            None => builder.with_no_client_auth(),
        };
        let names = Arc::new(Choice::new(&settings.certificates, settings.strict_names)?);
        let mut config = builder.with_cert_resolver(Arc::clone(&names) as Arc<_>);
        config.enable_secret_extraction = true;
        // Where nobody has said what is best, a client knows whether its processor is quick at AES.
        config.ignore_client_order = !settings.protocol.suites.is_empty();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols.clone_from(&settings.alpn);
        config.send_tls13_tickets = 0;
        if let Some(tickets) = &settings.tickets {
            config.ticketer = tickets.bound_to(settings.clients.as_ref().map_or([0; _], ClientAuthentication::digest));
            config.send_tls13_tickets = 1;
        }
        if let Some(key_log) = &settings.key_log {
            config.key_log = Arc::clone(key_log);
        }
        // Nobody pays for compressing certificates during a handshake.
        config.cert_compressors.clear();
        Ok(Self {
            config: Arc::new(config),
            gate: Arc::new(Gate { version_max: versions.iter().map(|version| version.version.into()).max().unwrap_or_default(), names }),
            record_bytes_max: record_bytes(settings.record_bytes_max)?,
            keeps_keys: settings.keeps_keys,
        })
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) fn record_bytes_max(&self) -> u16 {
        self.record_bytes_max
    }

    pub(crate) fn keeps_keys(&self) -> bool {
        self.keeps_keys
    }
}

/// Refuses what no record can hold and what would be hardly anything but headers.
pub(crate) fn record_bytes(wanted: u16) -> Result<u16, SettingsError> {
    let is_fit = (RECORD_BYTES_MIN..=RECORD_BYTES).contains(&wanted);
    if is_fit { Ok(wanted) } else { Err(SettingsError::BadRecordBytes(RECORD_BYTES_MIN, RECORD_BYTES)) }
}

impl ClientAuthentication {
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, SettingsError> {
        let unreadable = |error: &dyn core::fmt::Display| SettingsError::BadRevocations(error.to_string());
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&self.revocations).collect();
        let lists = lists.map_err(|error| unreadable(&error))?;
        if lists.is_empty() && !self.revocations.is_empty() {
            // Taken for none it would let everybody in whom it was to keep out.
            return Err(unreadable(&"there is none in it"));
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.authorities.roots), Arc::clone(provider));
        builder = builder.with_crls(lists);
        if self.optional {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| unreadable(&error))?;
        Ok(if self.names.is_empty() { verifier } else { Arc::new(NamedClients { verifier, names: self.names.clone().into() }) })
    }

    /// Of everything that decides who is let in.
    fn digest(&self) -> [u8; SHA256_OUTPUT_LEN] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[u8::from(self.optional)]);
        context.update(&self.authorities.digest);
        for part in [self.revocations.as_slice()].into_iter().chain(self.names.iter().map(String::as_bytes)) {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; SHA256_OUTPUT_LEN];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// Of those whose certificates are good, the ones with one of these names.
#[derive(Debug)]
struct NamedClients {
    verifier: Arc<dyn ClientCertVerifier>,
    names: Box<[String]>,
}

impl ClientCertVerifier for NamedClients {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(leaf, chain, now)?;
        let is_named = alternative_names(leaf).iter().any(|name| is_one_of(name, &self.names));
        if is_named { Ok(verified) } else { Err(rustls::CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
