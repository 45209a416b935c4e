//! Where something listens or is reached, and which networks are trusted.

use alloc::{boxed::Box, string::ToString};
use core::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

/// A socket's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a TCP port.
    Tcp(SocketAddr),
    /// A path of a UNIX socket.
    Unix(Box<str>),
}

impl Address {
    /// The IP address, when it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => out.write_str(&address.to_string()),
            Self::Unix(path) => write!(out, "unix:{path}"),
        }
    }
}

/// A block of addresses, `10.0.0.0/8` or `2001:db8::/32`. IPv4 is held in its IPv6-mapped form, so that one comparison serves both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    base: u128,
    mask: u128,
}

impl Network {
    /// `None` when `bits` is more than the family has.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let (base, width, offset) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), 32, 96),
            IpAddr::V6(address) => (address, 128, 0),
        };
        if bits > width {
            return None;
        }
        let host_bits = 128 - u32::from(bits) - offset;
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Some(Self { base: u128::from(base) & mask, mask })
    }

    /// Whether `address` lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        u128::from(address) & self.mask == self.base
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = Ipv6Addr::from(self.base);
        match base.to_ipv4_mapped() {
            Some(address) if self.mask.count_ones() >= 96 => write!(out, "{address}/{}", self.mask.count_ones() - 96),
            _ => write!(out, "{base}/{}", self.mask.count_ones()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        let check = |base: &str, bits, address: &str, inside| {
            let network = Network::new(base.parse().unwrap(), bits).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} and {address}");
        };
        check("10.0.0.0", 8, "10.255.0.1", true);
        check("10.0.0.0", 8, "11.0.0.1", false);
        check("10.0.0.7", 32, "10.0.0.7", true);
        check("0.0.0.0", 0, "1.2.3.4", true);
        check("0.0.0.0", 0, "2001:db8::1", false);
        check("::", 0, "1.2.3.4", true);
        check("2001:db8::", 32, "2001:db8:1::1", true);
        check("10.0.0.0", 8, "::ffff:10.1.1.1", true);
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Network::new("10.1.2.3".parse().unwrap(), 8).unwrap().to_string(), "10.0.0.0/8");
    }
}
