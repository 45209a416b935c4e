//! A server and a client in memory, joined by two queues of bytes; certificates made on the spot.
#![allow(dead_code, clippy::unwrap_used, clippy::allow_attributes, reason = "each test file uses its part, and a test may fail")]

use std::{
    io::{Read, Write},
    sync::Arc,
};

use buf::{Chunk, Output};
use model::Fault;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use rustls::{
    DigitallySignedStruct,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tls::{Authorities, Certificate, Client, ClientSettings, Server, ServerSettings, Session, Verification};

pub(crate) const NAME: &str = "shop.example.com";

/// An authority that signs whatever is asked.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn authorities(&self) -> Arc<Authorities> {
        Arc::new(Authorities::from_pem(self.pem.as_bytes()).unwrap())
    }

    /// Chain and key as PEM. A name with `://` is a URI.
    pub(crate) fn sign(&self, names: &[&str], algorithm: &'static SignatureAlgorithm) -> (String, String) {
        let (certificate, key) = self.certificate(names, algorithm, 1);
        (certificate, key.serialize_pem())
    }

    pub(crate) fn certificate(&self, names: &[&str], algorithm: &'static SignatureAlgorithm, serial: u64) -> (String, KeyPair) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let (dns, uris): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| !name.contains("://"));
        let mut params = CertificateParams::new(dns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| rcgen::SanType::URI((*uri).try_into().unwrap())));
        params.serial_number = Some(serial.into());
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Arc<Certificate> {
        self.issue_with(names, &PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn issue_with(&self, names: &[&str], algorithm: &'static SignatureAlgorithm) -> Arc<Certificate> {
        let (chain, key) = self.sign(names, algorithm);
        Arc::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes(), None).unwrap())
    }
}

/// What most tests begin with.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) server: ServerSettings,
    pub(crate) client: ClientSettings,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("Test Authority");
        let server = ServerSettings::new(vec![authority.issue(&[NAME])]);
        let client = ClientSettings::new(Verification::Name(authority.authorities()));
        Self { authority, server, client }
    }

    pub(crate) fn compile(&self) -> (Arc<Server>, Arc<Client>) {
        (Arc::new(Server::compile(&self.server).unwrap()), Arc::new(Client::compile(&self.client).unwrap()))
    }

    pub(crate) fn pair(&self) -> Pair {
        let (server, client) = self.compile();
        Pair::new(&server, &client)
    }
}

/// One end: a session, what it has received, what it has been told.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) received: Vec<u8>,
    pub(crate) fault: Option<Fault>,
}

impl End {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, received: Vec::new(), fault: None }
    }

    /// Takes bytes from the peer as one chunk.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.take_chunk(Chunk::copy_of(bytes));
    }

    pub(crate) fn take_chunk(&mut self, mut input: Chunk) {
        loop {
            match self.session.receive(&mut input) {
                Ok(Some(plain)) => {
                    assert!(!plain.is_empty());
                    self.received.extend_from_slice(&plain);
                }
                Ok(None) => break assert!(input.is_empty(), "everything is taken"),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
    }

    pub(crate) fn transmit(&mut self) -> Vec<u8> {
        let mut output = Output::default();
        self.session.transmit(&mut output);
        assert!(!self.session.wants_output());
        flatten(&mut output)
    }

    /// The records of `plain`.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let (mut input, mut output) = (Output::default(), Output::default());
        input.push(Chunk::copy_of(plain));
        self.session.seal(&mut input, &mut output);
        assert!(input.is_empty());
        flatten(&mut output)
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut output = Output::default();
        self.session.finish(&mut output);
        flatten(&mut output)
    }
}

pub(crate) struct Pair {
    pub(crate) server: End,
    pub(crate) client: End,
    /// Bytes delivered at once.
    pub(crate) piece: usize,
}

impl Pair {
    pub(crate) fn new(server: &Arc<Server>, client: &Arc<Client>) -> Self {
        Self { server: End::new(Session::server(server)), client: End::new(Session::client(client, NAME).unwrap()), piece: usize::MAX }
    }

    /// Carries what waits on either side to the other until nothing waits or something is wrong.
    pub(crate) fn run(&mut self) -> &mut Self {
        for _ in 0..20 {
            let up = self.client.transmit();
            deliver(&mut self.server, &up, self.piece);
            let down = self.server.transmit();
            deliver(&mut self.client, &down, self.piece);
            if up.is_empty() && down.is_empty() {
                return self;
            }
        }
        panic!("they never stop talking");
    }

    /// Runs the handshake, which succeeds.
    pub(crate) fn connect(&mut self) -> &mut Self {
        self.run();
        assert_eq!((self.server.fault, self.client.fault), (None, None));
        assert!(!self.server.session.is_handshaking() && !self.client.session.is_handshaking());
        self
    }

    /// Sends both ways, which arrives.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) {
        let (up, down) = (self.client.seal(bytes), self.server.seal(bytes));
        deliver(&mut self.server, &up, self.piece);
        deliver(&mut self.client, &down, self.piece);
        assert!(std::mem::take(&mut self.server.received) == bytes && std::mem::take(&mut self.client.received) == bytes);
    }
}

pub(crate) fn deliver(end: &mut End, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece.min(bytes.len()).max(1)) {
        if end.fault.is_none() {
            end.take(piece);
        }
    }
}

pub(crate) fn flatten(output: &mut Output) -> Vec<u8> {
    output.take(Vec::new()).iter().flat_map(|piece| piece.to_vec()).collect()
}

/// A client that is rustls alone, with its own record layer.
pub(crate) struct Rustls(rustls::ClientConnection);

pub(crate) fn rustls_client(world: &World, version: &'static rustls::SupportedProtocolVersion) -> Rustls {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Rustls(rustls::ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap())
}

pub(crate) fn connect_rustls(end: &mut End, rustls: &mut Rustls) {
    while rustls.0.is_handshaking() || end.session.is_handshaking() {
        let up = rustls.take();
        deliver(end, &up, usize::MAX);
        let down = end.transmit();
        assert!(rustls.open(&down).is_empty());
        assert_eq!(end.fault, None);
    }
}

impl Rustls {
    /// What it has to send.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub(crate) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let (mut plain, mut sealed) = (plain, Vec::new());
        while !plain.is_empty() {
            let taken = self.0.writer().write(plain).unwrap();
            plain = &plain[taken..];
            sealed.extend(self.take());
        }
        sealed
    }

    /// The plain bytes of records.
    pub(crate) fn open(&mut self, mut records: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !records.is_empty() {
            self.0.read_tls(&mut records).unwrap();
            let state = self.0.process_new_packets().unwrap();
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut plain[start..]).unwrap();
        }
        plain
    }

    pub(crate) fn change_keys(&mut self) {
        self.0.refresh_traffic_keys().unwrap();
    }

    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.0.send_close_notify();
        self.take()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.process_new_packets().unwrap().peer_has_closed()
    }
}

/// The OCSP response that a client is shown, which rustls gives to its verifier.
pub(crate) fn staple_seen(server: &Arc<Server>) -> Vec<u8> {
    let (told, heard) = std::sync::mpsc::channel();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let listener = Arc::new(Listener { told, schemes });
    let config = config.dangerous().with_custom_certificate_verifier(listener).with_no_client_auth();
    let mut rustls = Rustls(rustls::ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap());
    connect_rustls(&mut End::new(Session::server(server)), &mut rustls);
    heard.recv().unwrap()
}

/// Believes everybody and passes on what was stapled.
#[derive(Debug)]
struct Listener {
    told: std::sync::mpsc::Sender<Vec<u8>>,
    schemes: Vec<rustls::SignatureScheme>,
}

impl ServerCertVerifier for Listener {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.told.send(ocsp_response.to_vec()).unwrap();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.schemes.clone()
    }
}
