//! What HTTP messages are made of: hosts, paths, methods, fields.

use route::{HostPattern, PathPattern};
use serde_json::json;

use super::free_text;
use crate::read::{Context, Scalar};
use crate::shape::{Shape, Shown};

impl Scalar for HostPattern {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{text:?} is no host: {error}"))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1 }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(match self {
            Self::Any => "*".to_owned(),
            Self::Exact(name) => name.to_string(),
            Self::Suffix(suffix) => format!("*{suffix}"),
        })
    }
}

impl Scalar for PathPattern {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("{text:?} is no path: {error}"))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^/[^*?#\\s]*\\*?$" }))
    }

    fn shown(&self) -> Shown {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Shown::Text(match self {
            Self::Any => String::new(),
            Self::Exact(path) => text(path),
            Self::Prefix(path) => text(path) + "/*",
        })
    }
}

/// A request method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) Box<str>);

impl Scalar for Method {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if !is_token(text) {
            return Err(format!("{text:?} is no method: letters and digits are expected, as in GET"));
        }
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(format!("methods are case-sensitive: write {:?} for {text:?}", text.to_ascii_uppercase()));
        }
        Ok(Self(text.into()))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[^a-z\\s]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A field name that may be edited, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeaderName(pub(crate) Box<str>);

/// Fields that say where a message ends, whose it is or what its connection does: those are the proxy's own to write.
const UNTOUCHABLE: [&str; 9] =
    ["connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

impl Scalar for HeaderName {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        if !is_token(text) {
            return Err(format!("{text:?} is no header name: letters, digits and '-' are expected"));
        }
        if UNTOUCHABLE.contains(&&*name) {
            return Err(format!("{text:?} cannot be edited: it frames the message or belongs to the connection"));
        }
        Ok(Self(name.into()))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// A field value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderValue(pub(crate) Box<str>);

impl Scalar for HeaderValue {
    /// RFC 9110 section 5.5: no control characters but the tab, no white space at either end.
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(format!("{text:?} is no header value: control characters are not allowed"));
        }
        Ok(Self(text.trim_matches([' ', '\t']).into()))
    }

    fn allowed() -> Shape {
        free_text()
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}
