//! What a handshake agreed on, and who the peer proved to be.

use std::rc::Rc;

use crate::identity::Identity;

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 5246, with AEAD ciphers and forward secrecy only.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// As it is written in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// Of a handshake that is complete.
#[derive(Debug)]
pub struct Outcome {
    /// The application protocol (`h2`, `http/1.1`), when one was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The name the client asked for, in lower case; of a client session, the name it asked.
    pub server_name: Option<Box<str>>,
    /// The version.
    pub version: Version,
    /// The cipher suite by its registered name.
    pub suite: &'static str,
    /// The key exchange group; empty when a TLS 1.2 session was resumed.
    pub group: &'static str,
    /// Whether an earlier session was taken up, without certificates.
    pub resumed: bool,
    /// The client's certificate, when it was asked for and verified. (Server sessions only.)
    pub client: Option<Rc<Identity>>,
}
