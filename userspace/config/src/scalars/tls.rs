//! The scalars of TLS: versions, suites and groups by their registered names, names of protocols and peers.

use serde_json::json;

use super::free_text;
use crate::read::{Context, Scalar, no_such_word};
use crate::record::choice;
use crate::shape::{Shape, Shown};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    Tls12,
    Tls13,
}
choice!(pub(crate) TlsVersion { Tls12 = "tls12", Tls13 = "tls13" });

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerifyClients {
    Required,
    Optional,
}
choice!(pub(crate) VerifyClients { Required = "required", Optional = "optional" });

/// What clients get that ask for no name, or for one of which there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownNames {
    First,
    Refuse,
}
choice!(pub(crate) UnknownNames { First = "first", Refuse = "refuse" });

/// Who encrypts large bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncryptBodies {
    Process,
    Kernel,
}
choice!(pub(crate) EncryptBodies { Process = "process", Kernel = "kernel" });

/// Whether origins have to prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerifyOrigin {
    Required,
    None,
}
choice!(pub(crate) VerifyOrigin { Required = "required", None = "none" });

/// A cipher suite by its registered name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite(pub(crate) &'static str);

impl Scalar for Suite {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        registered(text, tls::Protocol::known_suites()).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "enum": tls::Protocol::known_suites().collect::<Vec<_>>() }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_owned())
    }
}

/// A key exchange group by its registered name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) &'static str);

impl Scalar for Group {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        registered(text, tls::Protocol::known_groups()).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "enum": tls::Protocol::known_groups().collect::<Vec<_>>() }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_owned())
    }
}

fn registered(text: &str, known: impl Iterator<Item = &'static str>) -> Result<&'static str, String> {
    let known: Vec<&'static str> = known.collect();
    known.iter().find(|name| **name == text).copied().ok_or_else(|| no_such_word(text, &known))
}

/// An application protocol by its registered name (RFC 7301).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alpn(pub(crate) Box<str>);

/// RFC 7301 section 3.1: the length is one byte.
const ALPN_BYTES_MAX: usize = 255;

impl Scalar for Alpn {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if (1..=ALPN_BYTES_MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(format!("an application protocol has 1 to {ALPN_BYTES_MAX} bytes, as in h2 or http/1.1"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1, "maxLength": ALPN_BYTES_MAX }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// A subject alternative name that a peer's certificate may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerName(pub(crate) String);

impl Scalar for PeerName {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let inside = text.strip_prefix("*.").unwrap_or(text);
        if inside.is_empty() || inside.contains(|letter: char| letter == '*' || letter.is_whitespace() || letter.is_control()) {
            return Err(format!(
                "{text:?} is no name of a peer: api.example.com, *.example.com, an IP address, a URI or a mail address is expected"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1 }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.clone())
    }
}

/// The name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VariableName(pub(crate) String);

impl Scalar for VariableName {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err(format!("{text:?} is no name of an environment variable"));
        }
        Ok(Self(text.to_owned()))
    }

    fn allowed() -> Shape {
        free_text()
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.clone())
    }
}

/// The name of a credential that the service manager hands over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CredentialName(pub(crate) String);

impl Scalar for CredentialName {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if matches!(text, "" | "." | "..") || text.contains(['/', '\0', ':']) {
            return Err(format!("{text:?} is no name of a credential: it is the name of a file, without '/' and ':'"));
        }
        Ok(Self(text.to_owned()))
    }

    fn allowed() -> Shape {
        free_text()
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.clone())
    }
}
