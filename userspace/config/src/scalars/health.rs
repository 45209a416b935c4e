//! What health checks ask for, and what is a good answer.

use serde_json::json;

use super::whole_number;
use crate::read::{Context, Scalar};
use crate::shape::{Shape, Shown};

/// Path and query of a request.
#[derive(Clone, Debug)]
pub(crate) struct HealthPath(pub(crate) Box<str>);

impl Scalar for HealthPath {
    /// RFC 9112 section 3.2.1: what goes into the request line as it is.
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            Ok(Self(text.into()))
        } else {
            Err(format!("{text:?} is no path of a request: it begins with / and has neither blanks nor #"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^/[!-\"$-~]*$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// Host and port, as in a request's Host field.
#[derive(Clone, Debug)]
pub(crate) struct HealthHost(pub(crate) Box<str>);

impl Scalar for HealthHost {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !text.is_empty() && text.bytes().all(is_good) {
            Ok(Self(text.into()))
        } else {
            Err(format!("{text:?} is no host, as in shop.example.com"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[-._:\\[\\]0-9A-Za-z]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// Statuses of responses, from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Scalar for StatusRange {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let status = |text: &str| whole_number(text, 200..=599).ok().and_then(|status| u16::try_from(status).ok());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("{text:?} is neither a status from 200 to 599 nor a range of them, as in 200-399")),
        }
    }

    fn allowed() -> Shape {
        let range = json!({ "type": "string", "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$" });
        Shape::Inline(json!({ "anyOf": [{ "type": "integer", "minimum": 200, "maximum": 599 }, range] }))
    }

    fn shown(&self) -> Shown {
        let Self { first, last } = self;
        Shown::Text(if first == last { first.to_string() } else { format!("{first}-{last}") })
    }
}
