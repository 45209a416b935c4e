//! The scalars of the kernel layer: addresses, ports, interfaces, rates.

use core::net::IpAddr;
use std::path::PathBuf;

use model::Network;
use serde_json::json;

use super::addresses::block_of;
use super::amounts::whole_number;
use crate::read::{Context, Scalar};
use crate::record::choice;
use crate::shape::{Shape, Shown};
use crate::snapshot::{Attach, HashBy, Name, OnDown, Origins, Ports, ProbeBy, Transport, Via};

choice!(pub Via { L2 = "l2", Ipip = "ipip", Gue = "gue" });
choice!(pub Origins { Any = "any", Sluice = "sluice" });
choice!(pub OnDown { Keep = "keep", Reset = "reset" });
choice!(pub ProbeBy { Path = "path", Direct = "direct" });
choice!(pub HashBy { Flow = "flow", Source = "source" });
choice!(pub Attach { Auto = "auto", Native = "native", Generic = "generic" });
choice!(pub Transport { Tcp = "tcp", Udp = "udp" });

/// An address that packets can go to.
impl Scalar for IpAddr {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        match text.parse::<Self>().map(|address| address.to_canonical()) {
            Ok(address) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
                Err(format!("{text:?} is no address that the kernel layer could serve"))
            }
            Ok(address) => Ok(address),
            Err(_) => Err(format!("{text:?} is no address: IPV4 or IPV6 is expected, without a port")),
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.to_string())
    }
}

/// Ports in order: `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl PortRange {
    /// Every port; 0 is none that anybody uses.
    const ALL: Self = Self { first: 0, last: u16::MAX };

    fn read(text: &str) -> Option<Self> {
        let port = |text: &str| whole_number(text, 1..=u32::from(u16::MAX)).ok().and_then(|port| u16::try_from(port).ok());
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        (first <= last).then_some(Self { first, last })
    }

    fn show(self) -> String {
        match self {
            Self::ALL => "all".to_owned(),
            Self { first, last } if first == last => first.to_string(),
            Self { first, last } => format!("{first}-{last}"),
        }
    }
}

impl Scalar for PortRange {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| format!("{text:?} is no range of ports, as in 1024-65535"))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": ["string", "integer"], "pattern": "^[0-9]+(-[0-9]+)?$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.show())
    }
}

/// One entry of a VIP's `ports`.
#[derive(Clone, Debug)]
pub(crate) struct VipPorts(pub(crate) Vec<Ports>);

impl Scalar for VipPorts {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        let ports = |transport, range: PortRange| Ports { transport, first: range.first, last: range.last };
        if text == "all" {
            return Ok(Self([Transport::Tcp, Transport::Udp].map(|transport| ports(transport, PortRange::ALL)).into()));
        }
        let expected = || format!("{text:?} are no ports: tcp/443, udp/8000-8999, tcp/all or all is expected");
        let (transport, range) = text.split_once('/').ok_or_else(expected)?;
        let transport = Transport::parse(transport, context).ok().ok_or_else(expected)?;
        let range = if range == "all" { PortRange::ALL } else { PortRange::read(range).ok_or_else(expected)? };
        Ok(Self(vec![ports(transport, range)]))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^all$|^(tcp|udp)/(all|[0-9]+(-[0-9]+)?)$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(match &*self.0 {
            [Ports { transport, first, last }] => {
                format!("{}/{}", transport.as_str(), PortRange { first: *first, last: *last }.show())
            }
            _ => "all".to_owned(),
        })
    }
}

/// What origins see: the client, or a pool.
#[derive(Clone, Debug)]
pub(crate) struct Snat(pub(crate) Option<Name>);

impl Scalar for Snat {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { Name::parse(text, context).map(|name| Self(Some(name))) }
    }

    fn allowed() -> Shape {
        Name::allowed()
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.as_deref().unwrap_or("none").to_owned())
    }
}

/// The longest name of an interface that the kernel takes.
const INTERFACE_BYTES_MAX: usize = 15;

/// The name of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Interface(pub(crate) Box<str>);

impl Scalar for Interface {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let is_good = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') && !matches!(text, "." | "..");
        if is_good && (1..=INTERFACE_BYTES_MAX).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(format!("{text:?} is no interface: 1 to {INTERFACE_BYTES_MAX} visible characters other than '/' are allowed"))
        }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1, "maxLength": INTERFACE_BYTES_MAX }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// The name under which things outlive the process: a folder's name.
#[derive(Clone, Debug)]
pub(crate) struct Instance(pub(crate) Name);

impl Default for Instance {
    fn default() -> Self {
        Self("sluice".into())
    }
}

impl Scalar for Instance {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        // The kernel's file system of maps takes no name with a dot.
        if text.contains('.') {
            return Err(format!("{text:?}: '.' is not allowed here"));
        }
        Name::parse(text, context).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[-_A-Za-z0-9]{1,128}$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}

/// Slots of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableSize(pub(crate) u32);

/// Primes: every step visits all slots.
const TABLE_SIZES: [u32; 3] = [4_093, 16_381, 65_537];

impl Scalar for TableSize {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        let size = TABLE_SIZES.into_iter().find(|size| size.to_string() == text);
        size.map(Self)
            .ok_or_else(|| format!("{text:?} is no size of a table: {} are allowed", TABLE_SIZES.map(|size| size.to_string()).join(", ")))
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "enum": TABLE_SIZES }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.to_string())
    }
}

/// How often a second; 0 is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit(pub(crate) u32);

const RATE_MAX: u32 = 1_000_000_000;

impl Scalar for RateLimit {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        whole_number(text, 0..=RATE_MAX).map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "integer", "minimum": 0, "maximum": RATE_MAX }))
    }

    fn shown(&self) -> Shown {
        Shown::Literal(self.0.to_string())
    }
}

/// A file, relative to the one that names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Scalar for FilePath {
    fn parse(text: &str, context: &Context<'_>) -> Result<Self, String> {
        if text.is_empty() { Err("a path is expected".to_owned()) } else { Ok(Self(context.directory.join(text))) }
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "minLength": 1 }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.display().to_string())
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix(pub(crate) Network);

impl Scalar for Prefix {
    fn parse(text: &str, _: &Context<'_>) -> Result<Self, String> {
        block_of(text, "10.0.0.0/8, \"2001:db8::/32\" or one address is expected").map(Self)
    }

    fn allowed() -> Shape {
        Shape::Inline(json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]+)?$" }))
    }

    fn shown(&self) -> Shown {
        Shown::Text(self.0.to_string())
    }
}
