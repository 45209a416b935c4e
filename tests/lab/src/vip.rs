//! The VIPs of the lab: one for each mode and family.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How packets come to origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `dsr: l2`
    L2,
    /// `dsr: ipip`
    Ipip,
    /// `dsr: gue`, origins pass on.
    Gue,
    /// `nat: none`
    NatNone,
    /// `nat: POOL`
    NatPool,
    /// `terminate: LISTENER`: to the node's own listeners, which go on to the origins.
    Terminate,
}

/// Of which kind addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip {
    /// Its mode.
    pub mode: Mode,
    /// Its family.
    pub family: Family,
}

const MODES: [Mode; 6] = [Mode::L2, Mode::Ipip, Mode::Gue, Mode::NatNone, Mode::NatPool, Mode::Terminate];

/// All of them.
pub const VIPS: [Vip; 12] = vips();

/// Those whose packets are sent on to origins.
pub const FORWARDED: [Vip; 10] = vips();

/// The first so many.
const fn vips<const COUNT: usize>() -> [Vip; COUNT] {
    let mut vips = [Vip { mode: Mode::L2, family: Family::V4 }; COUNT];
    let mut at = 0;
    while at < vips.len() {
        vips[at] = Vip { mode: MODES[at / 2], family: if at.is_multiple_of(2) { Family::V4 } else { Family::V6 } };
        at += 1;
    }
    vips
}

impl Vip {
    /// Its address.
    pub fn address(self) -> IpAddr {
        let last = 10 + self.mode as u8;
        match self.family {
            Family::V4 => Ipv4Addr::new(203, 0, 113, last).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, last.into()).into(),
        }
    }

    /// Its address with a port.
    pub fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(), port)
    }

    /// Its URL of this path.
    pub fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.at(80))
    }

    /// How it stands in the configuration.
    pub fn mode_text(self, node: usize) -> String {
        match self.mode {
            Mode::L2 => "dsr: l2".to_owned(),
            Mode::Ipip => "dsr: ipip".to_owned(),
            Mode::Gue => "dsr: { via: gue, origins: sluice }".to_owned(),
            Mode::NatNone => "nat: none".to_owned(),
            Mode::NatPool => format!("nat: pool{node}"),
            Mode::Terminate => "terminate: web".to_owned(),
        }
    }

    /// Whether its flows are a node's own, and end with it.
    pub fn is_of_node(self) -> bool {
        matches!(self.mode, Mode::NatPool | Mode::Terminate)
    }

    /// Whether origins answer clients themselves.
    pub fn is_dsr(self) -> bool {
        matches!(self.mode, Mode::L2 | Mode::Ipip | Mode::Gue)
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::L2 => "l2",
            Mode::Ipip => "ipip",
            Mode::Gue => "gue",
            Mode::NatNone => "none",
            Mode::NatPool => "pool",
            Mode::Terminate => "terminate",
        };
        write!(formatter, "{mode}-{}", if self.family == Family::V4 { 4 } else { 6 })
    }
}
