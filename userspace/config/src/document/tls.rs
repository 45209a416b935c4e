//! TLS in the document: secrets, what listeners show and ask for, how clusters are spoken to.
//!
//! What is secret is never in the document itself: it names where that is.

use core::time::Duration;

use crate::containers::Located;
use crate::read::{Reader, Value};
use crate::record::record;
use crate::scalars::{
    Alpn, CredentialName, EncryptBodies, FilePath, Group, HeaderName, PeerName, Period, Suite, TlsVersion, UnknownNames, VariableName,
    VerifyClients, VerifyOrigin,
};
use crate::shape::{Shape, Shown};
use crate::snapshot::Name;
use crate::tree::{Kind, Place};

/// Tickets are taken for as long as two turns of the keys, and clients keep them for half a day.
const ROTATE: Period = Period(Duration::from_hours(6));

record! {
    /// A certificate and its key. Files are watched: another pair is in force as soon as both are there.
    struct Secret {
        /// The certificate chain in PEM, the server's own first.
        cert: Located<Source>,
        /// The private key in PEM: PKCS#8, PKCS#1 or SEC1.
        key: Located<Source>,
        /// An OCSP response in DER, stapled to the certificate.
        ocsp: Option<Located<Source>> = None,
    }
}

record! {
    /// Where something is that does not stand here: exactly one of these.
    sugar(file)
    struct AnySource {
        /// A file, relative to this one.
        file: Option<FilePath> = None,
        /// An environment variable.
        env: Option<VariableName> = None,
        /// A credential of the systemd unit, as `LoadCredential=` gives it.
        credential: Option<CredentialName> = None,
    }
}

/// Where something is that does not stand in the document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    File(FilePath),
    Environment(VariableName),
    Credential(CredentialName),
}

impl Value for Source {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        let any = AnySource::read(reader, place)?;
        let named = place.children().filter(|child| matches!(child.key(), "file" | "env" | "credential")).count();
        if named != 1 && (place.kind() == Kind::Map || place.is_null()) {
            reader.reject(reader.at(place), "exactly one of file, env and credential is expected here, or just a file's path");
            return None;
        }
        // One that was refused has been told of.
        any.file.map(Self::File).or_else(|| any.env.map(Self::Environment)).or_else(|| any.credential.map(Self::Credential))
    }

    fn shape() -> Shape {
        AnySource::shape()
    }

    fn show(&self) -> Option<Shown> {
        let (key, text) = match self {
            Self::File(path) => ("file", path.show()?),
            Self::Environment(name) => ("env", name.show()?),
            Self::Credential(name) => ("credential", name.show()?),
        };
        Some(Shown::Map(vec![(key.to_owned(), text)]))
    }
}

record! {
    /// TLS of a listener.
    struct ListenerTls {
        /// Names of secrets. Each is shown to clients that ask for one of its names, the first one to all others; for one name there may be an
        /// ECDSA and an RSA certificate.
        certificates: Located<Vec<Located<Name>>>,
        /// Clients that ask for no name, or for one of which there is no certificate, get the first one (first), or nothing (refuse).
        unknown_names: UnknownNames = UnknownNames::First,
        /// The versions spoken: tls12, tls13.
        versions: Located<Vec<TlsVersion>> = default_versions(),
        /// Cipher suites by their registered names, best first; absent: all that are safe, of which the client's favourite is taken.
        suites: Located<Vec<Suite>> = nowhere(Vec::new()),
        /// Key exchange groups, of which the client's favourite is taken; absent: X25519MLKEM768, X25519, secp256r1, secp384r1.
        groups: Located<Vec<Group>> = nowhere(Vec::new()),
        /// Application protocols, best first; absent: h2 and http/1.1 for HTTP, none for TCP.
        alpn: Option<Vec<Located<Alpn>>> = None,
        /// Session tickets, by which clients that come back save themselves certificates; or none.
        tickets: TicketsChoice = TicketsChoice::Given(Tickets::default()),
        /// Clients show certificates too.
        clients: Option<Clients> = None,
        /// Who encrypts large bodies that come from an origin without TLS and go to a client over HTTP/1, and the bytes of TCP listeners: sluice
        /// itself (process), or the kernel, where it can (kernel): then they never come to sluice. Not shown to pay yet: measure before you rely on
        /// it. A client that asks for a change of keys then loses its connection.
        encrypt_bodies: EncryptBodies = EncryptBodies::Process,
        /// A file that secrets of sessions are appended to, in the NSS key log format: for debugging only, it opens every connection to its reader.
        key_log: Option<FilePath> = None,
    }
}

record! {
    /// Session tickets.
    struct Tickets [default] {
        /// Keys that nodes share: a line of 64 hexadecimal digits each (openssl rand -hex 32), the newest first, 8 at most. Absent: keys of this
        /// process alone.
        keys: Option<Located<Source>> = None,
        /// How often this process's own keys are turned; a ticket is taken for two turns. Keys from elsewhere are turned where they come from.
        rotate: Option<Located<Period>> = None,
    }
}

impl Tickets {
    /// How often keys of our own are turned.
    pub(crate) fn period(&self) -> Duration {
        self.rotate.as_ref().map_or(ROTATE, |period| period.value).0
    }
}

/// Session tickets, or none.
#[derive(Clone, Debug)]
pub(crate) enum TicketsChoice {
    None,
    Given(Tickets),
}

impl Value for TicketsChoice {
    fn read(reader: &mut Reader<'_>, place: Place<'_>) -> Option<Self> {
        match place.kind() {
            Kind::Plain | Kind::Quoted if place.text() == "none" => Some(Self::None),
            _ if place.is_null() || place.kind() == Kind::Map => Tickets::read(reader, place).map(Self::Given),
            Kind::Plain | Kind::Quoted | Kind::List | Kind::Map => {
                reader.reject(reader.at(place), "a map of fields, or none, is expected here");
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Or("none", Tickets::shape)
    }

    fn show(&self) -> Option<Shown> {
        match self {
            Self::None => Some(Shown::Text("none".to_owned())),
            Self::Given(tickets) => tickets.show(),
        }
    }
}

record! {
    /// Clients show certificates.
    struct Clients {
        /// required, or optional: who has none is let in, who has a wrong one is not.
        verify: VerifyClients = VerifyClients::Required,
        /// The authorities that sign them, in PEM.
        ca: Located<Source>,
        /// Revocation lists in PEM; every certificate of a chain has to stand under one.
        crl: Option<Located<Source>> = None,
        /// Alternative names of which a certificate needs one: api.example.com, *.example.com, spiffe://...; absent: any.
        names: Vec<PeerName> = Vec::new(),
        /// The header field that tells origins who the client is; what clients put into it is removed.
        identity_field: Option<HeaderName> = None,
    }
}

record! {
    /// TLS to the endpoints of a cluster.
    sugar(server_name)
    struct ClusterTls {
        /// The name endpoints are asked for, and have to prove; absent: each its IP address.
        server_name: Option<Located<String>> = None,
        /// The authorities that sign them, in PEM; absent: the system's.
        ca: Option<Located<Source>> = None,
        /// Alternative names of which a certificate needs one, in place of the name asked for.
        names: Vec<PeerName> = Vec::new(),
        /// required, or none: anybody on the way can be the origin.
        verify: Located<VerifyOrigin> = nowhere(VerifyOrigin::Required),
        /// The name of a secret: what is shown to origins that ask who we are.
        certificate: Option<Located<Name>> = None,
        /// Application protocols offered, best first; absent: by the cluster's protocol.
        alpn: Option<Vec<Located<Alpn>>> = None,
        /// The versions spoken: tls12, tls13.
        versions: Located<Vec<TlsVersion>> = default_versions(),
        /// Cipher suites by their registered names, best first; absent: all that are safe.
        suites: Located<Vec<Suite>> = nowhere(Vec::new()),
        /// Key exchange groups, best first; absent: X25519MLKEM768, X25519, secp256r1, secp384r1.
        groups: Located<Vec<Group>> = nowhere(Vec::new()),
        /// A file that secrets of sessions are appended to, in the NSS key log format: for debugging only.
        key_log: Option<FilePath> = None,
    }
}

fn nowhere<T>(value: T) -> Located<T> {
    Located { at: crate::read::At::default(), value }
}

fn default_versions() -> Located<Vec<TlsVersion>> {
    nowhere(vec![TlsVersion::Tls12, TlsVersion::Tls13])
}
