//! TLS of listeners and clusters. Settings and the contents they name have a fingerprint: with the old one comes the old object.

use alloc::sync::Arc;

use blake3::Hasher;
use model::Address;
use tls::{Client, ClientAuthentication, ClientSettings, KeyLog, Server, ServerSettings, SettingsError, Tickets, Verification, Version};

use super::{Compiler, secrets::bytes};
use crate::containers::Located;
use crate::contents::Content;
use crate::document::{self, TicketsChoice};
use crate::key_log::KeyLogFile;
use crate::read::{At, Value};
use crate::scalars::{Alpn, EncryptBodies, FilePath, Group, PeerName, Suite, TlsVersion, UnknownNames, VerifyClients, VerifyOrigin};
use crate::snapshot::{ClusterTls, ListenerTls, Protocol, TicketKeys};

/// What HTTP is called in ALPN, best first.
const HTTP: [&str; 2] = ["h2", "http/1.1"];

impl<'a> Compiler<'a> {
    /// TLS of a listener; `None` when something in it was refused.
    pub(super) fn listener_tls(
        &mut self,
        tls: &Located<document::ListenerTls>,
        is_http: bool,
        old: Option<&Arc<ListenerTls>>,
    ) -> Option<Arc<ListenerTls>> {
        if self.reader.is_empty(tls.certificates.at) {
            self.reader.reject(tls.certificates.at, "a listener needs at least one certificate: names of secrets are expected here");
            return None;
        }
        let mut fingerprint = fingerprint(&tls.value);
        fingerprint.update(&[u8::from(is_http)]);
        let certificates: Vec<_> = tls.certificates.iter().map(|name| self.certificate(name)).collect();
        let certificates: Option<Vec<_>> = certificates.into_iter().collect();
        let clients = tls.clients.as_ref().map(|clients| self.client_authentication(clients, &mut fingerprint));
        let tickets = match &tls.tickets {
            TicketsChoice::Given(tickets) => Some(self.ticket_keys(tickets, tls.at, old.and_then(|old| old.tickets.as_ref()))),
            TicketsChoice::None => None,
        };
        let alpn = self.listener_alpn(tls.alpn.as_deref(), is_http);
        let protocol = self.tls_protocol(&tls.versions, &tls.suites, &tls.groups);
        // Everything is looked at before the first that was refused counts.
        let (certificates, clients, tickets) = (certificates?, all(clients)?, all(tickets)?);
        let digests = certificates.iter().map(|(digest, _)| digest);
        for digest in digests.chain(tickets.iter().filter_map(|tickets| tickets.digest.as_ref())) {
            fingerprint.update(digest);
        }
        let fingerprint = *fingerprint.finalize().as_bytes();
        if let Some(old) = old.filter(|old| old.fingerprint == fingerprint) {
            return Some(old.clone());
        }
        let mut settings = ServerSettings::new(certificates.into_iter().map(|(_, certificate)| certificate).collect());
        settings.strict_names = tls.unknown_names == UnknownNames::Refuse;
        settings.protocol = protocol;
        settings.alpn = alpn;
        settings.tickets = tickets.as_ref().map(|tickets| tickets.keys.clone());
        settings.clients = clients;
        settings.key_log = key_log(tls.key_log.as_ref());
        settings.keeps_keys = tls.encrypt_bodies == EncryptBodies::Kernel;
        let place = |error: &SettingsError| match (error, &tls.clients) {
            (SettingsError::BadRevocations(_), Some(clients)) => clients.crl.as_ref().map_or(tls.at, |crl| crl.at),
            _ => tls.at,
        };
        let server = Server::compile(&settings).map_err(|error| self.reader.reject(place(&error), error)).ok()?;
        let field = tls.clients.as_ref().and_then(|clients| clients.identity_field.as_ref());
        let client_identity_field = field.map(|field| field.0.as_bytes().into());
        Some(Arc::new(ListenerTls { server: Arc::new(server), tickets, client_identity_field, fingerprint }))
    }

    fn client_authentication(&mut self, clients: &document::Clients, fingerprint: &mut Hasher) -> Option<ClientAuthentication> {
        let authorities = self.authorities(Some(&clients.ca), clients.ca.at);
        let revocations = all(clients.crl.as_ref().map(|crl| self.revocations(crl)));
        let (digest, authorities) = authorities?;
        let revocations = revocations?;
        fingerprint.update(&digest);
        fingerprint.update(revocations.as_ref().map_or(&[], |revocations| &revocations.digest));
        Some(ClientAuthentication {
            optional: clients.verify == VerifyClients::Optional,
            authorities,
            revocations: revocations.map_or(Vec::new(), |revocations| bytes(revocations).to_vec()),
            names: names(&clients.names),
        })
    }

    fn revocations(&mut self, crl: &Located<document::Source>) -> Option<&'a Content> {
        let content = self.content(crl)?;
        if content.bytes.as_ref().is_some_and(|bytes| bytes.is_empty()) {
            // To TLS that would be no list at all, and everybody would be let in.
            self.reader.reject(crl.at, "the revocation list cannot be read: the file is empty");
            return None;
        }
        Some(content)
    }

    /// The old keys, unless they come from a text that is another now.
    fn ticket_keys(&mut self, tickets: &document::Tickets, at: At, old: Option<&Arc<TicketKeys>>) -> Option<Arc<TicketKeys>> {
        let Some(source) = &tickets.keys else {
            let rotate = Some(tickets.period());
            return match old.filter(|old| old.digest.is_none()) {
                Some(old) if old.rotate == rotate => Some(old.clone()),
                Some(old) => Some(Arc::new(TicketKeys { keys: old.keys.clone(), rotate, digest: None })),
                None => {
                    let keys = Tickets::random().map_err(|error| self.reader.reject(at, error)).ok()?;
                    Some(Arc::new(TicketKeys { keys: Arc::new(keys), rotate, digest: None }))
                }
            };
        };
        if let Some(rotate) = &tickets.rotate {
            self.reader.reject(rotate.at, "keys from elsewhere are turned where they come from: rotate is for this process's own");
        }
        let content = self.content(source)?;
        if let Some(old) = old.filter(|old| old.digest == Some(content.digest)) {
            return Some(old.clone());
        }
        let Ok(text) = str::from_utf8(bytes(content)) else {
            self.reader.reject(source.at, "ticket keys are lines of 64 hexadecimal digits each");
            return None;
        };
        let keys = Tickets::from_text(text).map_err(|error| self.reader.reject(source.at, error)).ok()?;
        Some(Arc::new(TicketKeys { keys: Arc::new(keys), rotate: None, digest: Some(content.digest) }))
    }

    fn listener_alpn(&mut self, alpn: Option<&[Located<Alpn>]>, is_http: bool) -> Vec<Vec<u8>> {
        let Some(alpn) = alpn else {
            return if is_http { offered(&HTTP) } else { Vec::new() };
        };
        for protocol in alpn.iter().filter(|protocol| is_http && !HTTP.contains(&&*protocol.value.0)) {
            self.reader.reject(
                protocol.at,
                format_args!("{:?} is nothing that an HTTP listener speaks; allowed: {}", protocol.value.0, HTTP.join(", ")),
            );
        }
        alpn.iter().map(|protocol| protocol.value.0.as_bytes().to_vec()).collect()
    }

    /// TLS of a cluster; `None` when something in it was refused.
    pub(super) fn cluster_tls(
        &mut self,
        tls: &Located<document::ClusterTls>,
        cluster: &document::Cluster,
        old: Option<&Arc<ClusterTls>>,
    ) -> Option<Arc<ClusterTls>> {
        let mut fingerprint = fingerprint(&tls.value);
        fingerprint.update(cluster.protocol.as_ref().map_or("", |protocol| protocol.value.as_str()).as_bytes());
        self.check_origin_names(tls, cluster);
        let verification = self.verification(tls, &mut fingerprint);
        let certificate = tls.certificate.as_ref().map(|name| self.certificate(name));
        let protocol = self.tls_protocol(&tls.versions, &tls.suites, &tls.groups);
        let (verification, certificate) = (verification?, all(certificate)?);
        if let Some((digest, _)) = &certificate {
            fingerprint.update(digest);
        }
        let fingerprint = *fingerprint.finalize().as_bytes();
        if let Some(old) = old.filter(|old| old.fingerprint == fingerprint) {
            return Some(old.clone());
        }
        let mut settings = ClientSettings::new(verification);
        settings.server_name = tls.server_name.as_ref().map(|name| name.value.clone());
        settings.certificate = certificate.map(|(_, certificate)| certificate);
        settings.alpn = match (&tls.alpn, cluster.protocol.as_ref().map(|protocol| protocol.value)) {
            (Some(alpn), _) => alpn.iter().map(|protocol| protocol.0.as_bytes().to_vec()).collect(),
            (None, Some(Protocol::Http1)) => offered(&HTTP[1..]),
            (None, Some(Protocol::Http2)) => offered(&HTTP[..1]),
            (None, Some(Protocol::Auto) | None) => offered(&HTTP),
        };
        settings.protocol = protocol;
        settings.key_log = key_log(tls.key_log.as_ref());
        let place = |error: &SettingsError| match (error, &tls.server_name) {
            (SettingsError::BadName(_), Some(name)) => name.at,
            _ => tls.at,
        };
        let client = Client::compile(&settings).map_err(|error| self.reader.reject(place(&error), error)).ok()?;
        Some(Arc::new(ClusterTls { client: Arc::new(client), fingerprint }))
    }

    fn check_origin_names(&mut self, tls: &Located<document::ClusterTls>, cluster: &document::Cluster) {
        let is_unix = |endpoint: &Located<document::Endpoint>| matches!(endpoint.address, Address::Unix(_));
        if tls.server_name.is_none() && cluster.endpoints.iter().any(is_unix) {
            self.reader.reject(tls.at, "endpoints without an IP address have to be asked for by a name: say it under server_name");
        }
        if tls.verify.value == VerifyOrigin::None && (tls.ca.is_some() || !tls.names.is_empty()) {
            self.reader.reject(tls.verify.at, "nothing is verified with none: ca and names have no meaning then");
        }
    }

    fn verification(&mut self, tls: &Located<document::ClusterTls>, fingerprint: &mut Hasher) -> Option<Verification> {
        if tls.verify.value == VerifyOrigin::None {
            return Some(Verification::None);
        }
        let (digest, authorities) = self.authorities(tls.ca.as_ref(), tls.at)?;
        fingerprint.update(&digest);
        Some(if tls.names.is_empty() { Verification::Name(authorities) } else { Verification::OneOf(authorities, names(&tls.names)) })
    }

    fn tls_protocol(
        &mut self,
        versions: &Located<Vec<TlsVersion>>,
        suites: &Located<Vec<Suite>>,
        groups: &Located<Vec<Group>>,
    ) -> tls::Protocol {
        for at in [versions.at, suites.at, groups.at] {
            if self.reader.is_empty(at) {
                self.reader.reject(at, "at least one is expected here; leave the key out to mean all");
            }
        }
        let version = |version: &TlsVersion| match version {
            TlsVersion::Tls12 => Version::Tls12,
            TlsVersion::Tls13 => Version::Tls13,
        };
        tls::Protocol {
            version_min: versions.iter().map(version).min().unwrap_or(Version::Tls12),
            version_max: versions.iter().map(version).max().unwrap_or(Version::Tls13),
            suites: suites.iter().map(|suite| suite.0.to_owned()).collect(),
            groups: groups.iter().map(|group| group.0.to_owned()).collect(),
        }
    }
}

/// Of what the document says, in its effective form.
fn fingerprint(tls: &impl Value) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(tls.show().map_or(String::new(), |shown| shown.to_yaml()).as_bytes());
    hasher
}

/// `None` only for something that was refused.
#[expect(clippy::option_option, reason = "what need not be there may also have been refused")]
fn all<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(None) => None,
        Some(found) => Some(found),
        None => Some(None),
    }
}

fn offered(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

fn names(names: &[PeerName]) -> Vec<String> {
    names.iter().map(|name| name.0.clone()).collect()
}

fn key_log(path: Option<&FilePath>) -> Option<Arc<dyn KeyLog>> {
    path.map(|path| Arc::new(KeyLogFile::new(path.0.clone())) as Arc<dyn KeyLog>)
}
