//! The list under measurement: a million prefixes, and sources that are not on it but as near to it as any.
//!
//! Sources have bits 7 and 8 clear. Whole /24s are listed where bit 8 is set, single hosts where bit 7 is and bit 8 is not: so no source is
//! listed, whatever is drawn, and every one has listed neighbours as often as it would have in a list without such a rule.

use abi::{DRAW_STEP, drawn};
use l4::Prefix;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of a source address that are clear.
pub(super) const CLEAR: u32 = 1 << 8 | 1 << 7;

/// A network of one kind out of any bits.
type Make = fn(u64) -> IpAddr;

/// `count` prefixes: three tenths /24s, six tenths single IPv4 hosts, one tenth IPv6 networks.
pub(super) fn prefixes(count: usize) -> Vec<Prefix> {
    let parts: [(usize, u8, Make); 3] =
        [(count * 3 / 10, 24, network), (count * 6 / 10, 32, host), (count - count * 9 / 10, 48, network_v6)];
    let mut state = 1_u64;
    let mut all = Vec::with_capacity(count);
    for (wanted, length, make) in parts {
        let mut part = BTreeSet::new();
        while part.len() < wanted {
            state = state.wrapping_add(DRAW_STEP);
            part.insert(Prefix { length, allow: false, network: make(drawn(state)) });
        }
        all.extend(part);
    }
    all
}

/// A source that is not listed, as `drive` makes it of a draw.
pub(super) fn unlisted(word: u64) -> Ipv4Addr {
    Ipv4Addr::from(low(word >> 32) & !CLEAR)
}

/// A list of everything.
pub(super) fn everything() -> Vec<Prefix> {
    vec![Prefix { length: 0, allow: false, network: Ipv4Addr::UNSPECIFIED.into() }]
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("the low half")
}

fn network(word: u64) -> IpAddr {
    Ipv4Addr::from(low(word) & !0xff | 1 << 8).into()
}

fn host(word: u64) -> IpAddr {
    Ipv4Addr::from(low(word) & !(1 << 8) | 1 << 7).into()
}

fn network_v6(word: u64) -> IpAddr {
    Ipv6Addr::from(u128::from(0x2000 | (word >> 52)) << 112 | u128::from(low(word)) << 80).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_is_listed() {
        let list = prefixes(1_000);
        assert_eq!(list.len(), 1_000);
        for prefix in list {
            if let IpAddr::V4(network) = prefix.network {
                // A source equals the network in the bits that count only if these are among those that are clear in it.
                let counted = u32::MAX << (32 - u32::from(prefix.length));
                assert_ne!(u32::from(network) & counted & CLEAR, 0, "{network}/{}", prefix.length);
            }
        }
    }
}
