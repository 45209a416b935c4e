//! The scalars of the configuration: each reads its text by its own rule, never by what YAML thinks of it.

mod addresses;
mod amounts;
mod health;
mod http;
mod l4;
mod tls;

use std::path::Path;

use serde_json::json;

pub(crate) use addresses::{AdminSocket, Bind, Trusted};
pub(crate) use amounts::{CountLimit, Number, Period, Size, SizeLimit, TimeLimit};
use amounts::{show_time, whole_number};
pub(crate) use health::{HealthHost, HealthPath, StatusRange};
pub(crate) use http::{HeaderName, HeaderValue, Method};
pub(crate) use l4::{FilePath, Instance, Interface, PortRange, Prefix, RateLimit, Snat, TableSize, VipPorts};

pub(crate) use tls::{
    Alpn, CredentialName, EncryptBodies, Group, PeerName, Suite, TlsVersion, UnknownNames, VariableName, VerifyClients, VerifyOrigin,
};

use crate::read::{Context, Scalar};
use crate::record::choice;
use crate::shape::{Shape, Shown};
use crate::snapshot::{LogField, LogFormat, LogTarget, Name, OnChange, Policy, Protocol, ProxyProtocol, State};

choice!(pub Policy { RoundRobin = "round_robin", LeastRequest = "least_request", Random = "random" });
choice!(pub Protocol { Http1 = "http1", Http2 = "http2", Auto = "auto" });
choice!(pub State { Active = "active", Drained = "drained" });
choice!(pub ProxyProtocol { V1 = "v1", V2 = "v2" });
choice!(pub LogFormat { Text = "text", Json = "json" });
choice!(pub LogField {
    Time = "time", Duration = "duration", Client = "client", Listener = "listener", Route = "route", Cluster = "cluster",
    Endpoint = "endpoint", Protocol = "protocol", Method = "method", Host = "host", Path = "path", Status = "status",
    Reason = "reason", Attempts = "attempts", RequestBytes = "request_bytes", ResponseBytes = "response_bytes",
    RequestId = "request_id", UserAgent = "user_agent", Referer = "referer",
});

/// The one value of `proxy_protocol` on listeners.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accept {
    /// The header is taken from trusted sources.
    Accept,
}
choice!(pub(crate) Accept { Accept = "accept" });

/// The one way of `redirect`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RedirectVia {
    /// The kernel's maps of sockets.
    Sockmap,
}
choice!(pub(crate) RedirectVia { Sockmap = "sockmap" });

/// Any text, also what YAML takes for a number or truth value.
fn free_text() -> Shape {
    Shape::Inline(json!({ "type": ["string", "number", "boolean"] }))
}

impl Scalar for String {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn allowed() -> Shape {
        free_text()
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.clone())
    }
}

/// The longest name of anything.
const NAME_BYTES_MAX: usize = 128;

impl Scalar for Name {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let is_good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_good && (1..=NAME_BYTES_MAX).contains(&text.len()) {
            Ok(text.into())
        } else {
            Err(format!("{text:?} is no name: 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.' are allowed"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": format!("^[-_.A-Za-z0-9]{{1,{NAME_BYTES_MAX}}}$") }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.to_string())
    }
}

impl Scalar for OnChange {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        let inside = text.strip_prefix("drain(").and_then(|rest| rest.strip_suffix(')'));
        let inside = inside.ok_or_else(|| format!("{text:?} is none of the choices; allowed: keep, drain(DURATION)"))?;
        Period::parse(inside, context).map(|period| Self::Drain(period.0))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^keep$|^drain\\([0-9]+(us|ms|s|m|h)\\)$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(match self {
            Self::Keep => "keep".to_owned(),
            Self::Drain(time) => format!("drain({})", show_time(*time)),
        })
    }
}

impl Scalar for LogTarget {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        match text {
            "" => Err("a path or stdout is expected".to_owned()),
            "stdout" => Ok(Self::Stdout),
            path => Ok(Self::File(context.directory.join(Path::new(path)))),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1 }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(path) => path.display().to_string(),
        })
    }
}

/// How many threads carry traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workers(pub(crate) Option<u32>);

const WORKERS_MAX: u32 = 1_024;

impl Scalar for Workers {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(None));
        }
        whole_number(text, 1..=WORKERS_MAX).map(|count| Self(Some(count))).map_err(|error| error + ", or auto")
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": WORKERS_MAX }] }))
    }

    fn shown(&self) -> Shown {
        self.0.map_or_else(|| Shown::Text("auto".to_owned()), |count| Shown::Literal(count.to_string()))
    }
}

/// A path pattern of files to include, relative to the file.
#[derive(Clone, Debug)]
pub(crate) struct IncludePattern(pub(crate) String);

impl Scalar for IncludePattern {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text.is_empty() || text.ends_with('/') {
            return Err(format!("{text:?} is no path of files, as in sites.d/*.yaml"));
        }
        if text.rsplit_once('/').is_some_and(|(folder, _)| folder.contains('*')) {
            return Err(format!("{text:?}: '*' is allowed in the file's name only, as in sites.d/*.yaml"));
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
