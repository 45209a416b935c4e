//! The scalars of the configuration: each reads its text by its own rule, never by what YAML thinks of it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::path::{Path, PathBuf};

use model::{Address, Network};
use route::{HostPattern, PathPattern};
use serde_json::json;

use crate::read::{Context, Scalar};
use crate::record::choice;
use crate::shape::{Shape, Shown};
use crate::snapshot::{LogField, LogFormat, LogTarget, Name, OnChange, Policy, ProxyProtocol};

choice!(pub Policy { RoundRobin = "round_robin", LeastRequest = "least_request", Random = "random" });
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

/// A length of time above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// A length of time above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit(pub(crate) Option<Duration>);

/// A number of bytes above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<const MAX: u64>(pub(crate) u64);

/// A number of bytes above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SizeLimit(pub(crate) Option<u64>);

/// A count above 0, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountLimit(pub(crate) Option<u32>);

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(pub(crate) u32);

const TIME_UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];
const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("KB", 1_000), ("B", 1)];
const TIME_PATTERN: &str = "^[0-9]+(us|ms|s|m|h)$";
const SIZE_PATTERN: &str = "^[0-9]+(B|KB|KiB|MB|MiB|GB|GiB)$";

/// A whole number with one of some units, above 0.
fn with_unit(text: &str, units: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let allowed = || units.iter().rev().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", ");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let Some((_, factor)) = units.iter().find(|(known, _)| *known == unit) else {
        return Err(format!("{text:?} is no {what}: a whole number and one of the units {} is expected", allowed()));
    };
    let number: u64 = number.parse().ok().ok_or_else(|| format!("{text:?} is no {what}: a whole number has to come first"))?;
    match number.checked_mul(*factor) {
        Some(0) => Err(format!("a {what} of 0 is not allowed; where no limit is allowed, that is written none")),
        Some(amount) if amount <= u64::MAX / 1_000 => Ok(amount),
        _ => Err(format!("{text:?} is too large for a {what}")),
    }
}

/// The largest unit that gives a whole number.
fn show_with_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let (unit, factor) = units.iter().find(|(_, factor)| amount.is_multiple_of(*factor)).unwrap_or(&("", 1));
    format!("{}{unit}", amount / factor)
}

fn show_time(time: Duration) -> String {
    show_with_unit(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), &TIME_UNITS)
}

impl Scalar for Period {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        with_unit(text, &TIME_UNITS, "length of time").map(|micros| Self(Duration::from_micros(micros)))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": TIME_PATTERN }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(show_time(self.0))
    }
}

impl Scalar for TimeLimit {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { Period::parse(text, context).map(|period| Self(Some(period.0))) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": format!("^none$|{TIME_PATTERN}") }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.map_or_else(|| "none".to_owned(), show_time))
    }
}

impl<const MAX: u64> Scalar for Size<MAX> {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let bytes = with_unit(text, &SIZE_UNITS, "size")?;
        if bytes <= MAX { Ok(Self(bytes)) } else { Err(format!("{text:?} is too large: at most {MAX}B are allowed here")) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": SIZE_PATTERN }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(show_with_unit(self.0, &SIZE_UNITS))
    }
}

impl Scalar for SizeLimit {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { with_unit(text, &SIZE_UNITS, "size").map(|bytes| Self(Some(bytes))) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": format!("^none$|{SIZE_PATTERN}") }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.map_or_else(|| "none".to_owned(), |bytes| show_with_unit(bytes, &SIZE_UNITS)))
    }
}

/// Digits only: no sign, no point, no exponent, no leading 0 that some would read as octal.
fn whole_number(text: &str, range: core::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = (is_digits && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX));
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        _ if range.start() == range.end() => Err(format!("{text:?} is not {}, the only number allowed here", range.start())),
        _ => Err(format!("{text:?} is no whole number from {} to {}", range.start(), range.end())),
    }
}

impl<const MIN: u32, const MAX: u32> Scalar for Number<MIN, MAX> {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        whole_number(text, MIN..=MAX).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "integer", "minimum": MIN, "maximum": MAX }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.to_string())
    }
}

const COUNT_MAX: u32 = 1_000_000_000;

impl Scalar for CountLimit {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        whole_number(text, 1..=COUNT_MAX).map(|count| Self(Some(count))).map_err(|error| error + ", or none")
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "anyOf": [{ "const": "none" }, { "type": "integer", "minimum": 1, "maximum": COUNT_MAX }] }))
    }

    fn shown(&self) -> Shown {
        self.0.map_or_else(|| Shown::Text("none".to_owned()), |count| Shown::Literal(count.to_string()))
    }
}

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

/// One entry of `bind`: an address, or all of IPv4 and IPv6 at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind(pub(crate) Vec<Address>);

/// The longest path of a UNIX socket the kernel takes, the ending 0 left out.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn unix_socket(path: &str, context: &Context<'_>) -> Result<Address, String> {
    if path.is_empty() {
        return Err("a path has to follow unix:".to_owned());
    }
    let path = context.directory.join(path);
    let path = path.to_str().ok_or("the path of a UNIX socket has to be UTF-8")?;
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(format!("the path of a UNIX socket has at most {SOCKET_PATH_BYTES_MAX} bytes, {path:?} has {}", path.len()));
    }
    Ok(Address::Unix(path.into()))
}

fn port(text: &str) -> Result<u16, String> {
    let number = whole_number(text, 1..=u32::from(u16::MAX)).map_err(|error| format!("the port {error}"))?;
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}

/// `IPV4:PORT` or `[IPV6]:PORT`, the port neither 0 nor written as in octal.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (_, port) = text.rsplit_once(':')?;
    text.parse().ok().filter(|_| !port.starts_with('0'))
}

impl Scalar for Bind {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_socket(path, context).map(|address| Self(vec![address]));
        }
        if let Some(text) = text.strip_prefix("*:") {
            let port = port(text)?;
            let both: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            return Ok(Self(both.map(|ip| Address::Tcp(SocketAddr::new(ip, port))).into()));
        }
        match socket_address(text) {
            Some(address) => Ok(Self(vec![Address::Tcp(address)])),
            None => Err(format!("{text:?} is nothing to listen on: \"*:PORT\", IPV4:PORT, \"[IPV6]:PORT\" or unix:PATH is expected")),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^unix:.|:[0-9]+$" }))
    }

    fn shown(&self) -> Shown {
        match &*self.0 {
            [Address::Tcp(first), Address::Tcp(_)] => Shown::Text(format!("*:{}", first.port())),
            [address, ..] => Shown::Text(address.to_string()),
            [] => Shown::Text(String::new()),
        }
    }
}

/// Where an origin listens.
impl Scalar for Address {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_socket(path, context);
        }
        match socket_address(text) {
            Some(address) if address.ip().is_unspecified() => {
                Err(format!("{text:?} is no origin's address: nothing can be connected to there"))
            }
            Some(address) => Ok(Self::Tcp(address)),
            None => Err(why_no_endpoint(text)),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^unix:.|^[0-9.]+:[0-9]+$|^\\[[0-9A-Fa-f:.%]+\\]:[0-9]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.to_string())
    }
}

fn why_no_endpoint(text: &str) -> String {
    const ALLOWED: &str = "IPV4:PORT, \"[IPV6]:PORT\" or unix:PATH is expected";
    if text.parse::<IpAddr>().is_ok() {
        return format!("{text:?} has no port; {ALLOWED}");
    }
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    if host.bytes().any(|byte| byte.is_ascii_alphabetic()) && matches!(HostPattern::parse(host), Ok(HostPattern::Exact(_))) {
        return format!("{text:?} names a host, and names are not resolved by this version; {ALLOWED}");
    }
    format!("{text:?} is no address of an origin; {ALLOWED}")
}

/// An IP address and port.
impl Scalar for SocketAddr {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        socket_address(text).ok_or_else(|| format!("{text:?} is no address: IPV4:PORT or \"[IPV6]:PORT\" is expected"))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": ":[0-9]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.to_string())
    }
}

/// The socket that everything may be asked on.
#[derive(Clone, Debug)]
pub(crate) struct AdminSocket(pub(crate) PathBuf);

impl Scalar for AdminSocket {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        let Some(path) = text.strip_prefix("unix:") else {
            return Err(format!("{text:?} is no UNIX socket: unix:PATH is expected, since the admin API can change things"));
        };
        match unix_socket(path, context)? {
            Address::Unix(path) => Ok(Self(PathBuf::from(&*path))),
            Address::Tcp(_) => Err("a UNIX socket is expected".to_owned()),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^unix:." }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(format!("unix:{}", self.0.display()))
    }
}

/// Whose word is believed: a block of addresses, or peers on UNIX sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    Network(Network),
    Unix,
}

impl Scalar for Trusted {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let expected = || format!("{text:?} is no block of addresses: 10.0.0.0/8, \"2001:db8::/32\", one address, or unix is expected");
        let address: IpAddr = address.parse().ok().ok_or_else(expected)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| whole_number(bits, 0..=width).ok().ok_or_else(expected))?;
        let network = u8::try_from(bits).ok().and_then(|bits| Network::new(address, bits)).ok_or_else(expected)?;
        if network.contains(address) && is_base(address, bits) {
            Ok(Self::Network(network))
        } else {
            Err(format!("{text:?} has bits set behind its first {bits}; {network} is the whole block"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^unix$|^[0-9A-Fa-f:.]+(/[0-9]+)?$" }))
    }

    fn shown(&self) -> Shown {
        match self {
            Self::Network(network) => Shown::Text(network.to_string()),
            Self::Unix => Shown::Text("unix".to_owned()),
        }
    }
}

/// Whether all bits behind the first `bits` are 0.
fn is_base(address: IpAddr, bits: u32) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
        IpAddr::V6(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
    }
}

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
