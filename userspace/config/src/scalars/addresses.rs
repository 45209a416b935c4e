//! Addresses: what is listened on, connected to and trusted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use model::{Address, Network};
use route::HostPattern;
use serde_json::json;

use super::amounts::whole_number;
use crate::read::{Context, Scalar};
use crate::shape::{Shape, Shown};

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
            None => endpoint_without_port(text),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^unix:.|^[0-9.]+(:[0-9]+)?$|^\\[[0-9A-Fa-f:.%]+\\]:[0-9]+$|^[0-9A-Fa-f:.]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(match self {
            Self::Tcp(address) if address.port() == 0 => address.ip().to_string(),
            Self::Tcp(_) | Self::Unix(_) => self.to_string(),
        })
    }
}

/// An address alone, port 0: it serves VIPs, which bring their own ports.
fn endpoint_without_port(text: &str) -> Result<Address, String> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Err(format!("{text:?} is no origin's address: nothing can be connected to there")),
        Ok(address) => Ok(Address::Tcp(SocketAddr::new(address, 0))),
        Err(_) => Err(why_no_endpoint(text)),
    }
}

fn why_no_endpoint(text: &str) -> String {
    const ALLOWED: &str = "IPV4:PORT, \"[IPV6]:PORT\" or unix:PATH is expected";
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
        block_of(text, "10.0.0.0/8, \"2001:db8::/32\", one address, or unix is expected").map(Self::Network)
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

/// A block of addresses, every bit behind its prefix 0.
pub(super) fn block_of(text: &str, allowed: &str) -> Result<Network, String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let expected = || format!("{text:?} is no block of addresses: {allowed}");
    let address: IpAddr = address.parse().ok().ok_or_else(expected)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(width), |bits| whole_number(bits, 0..=width).ok().ok_or_else(expected))?;
    let network = u8::try_from(bits).ok().and_then(|bits| Network::new(address, bits)).ok_or_else(expected)?;
    if network.contains(address) && is_base(address, bits) {
        Ok(network)
    } else {
        Err(format!("{text:?} has bits set behind its first {bits}; {network} is the whole block"))
    }
}

/// Whether all bits behind the first `bits` are 0.
fn is_base(address: IpAddr, bits: u32) -> bool {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
        IpAddr::V6(address) => address.to_bits().checked_shl(bits).unwrap_or(0) == 0,
    }
}
