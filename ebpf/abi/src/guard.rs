//! Deny and allow lists of up to a million prefixes, and the rates of sources.
//!
//! IPv4: two bits for every /24 ([`Guard`]; `GUARD_V4`, an array of blocks of [`GUARD_BLOCK_WORDS`] words), 4 MB in all, which says
//! everything unless only some of its hosts are listed; those are in `GUARD_PARTIAL` (hash, the /24 as `u32` -> [`HostsOf24`]).
//! In front of that stands a bit for every /22 ([`v4_near`]; `GUARD_V4_NEAR`, both lists' in one array): half a megabyte, which stays in a CPU's own
//! cache, where the 4 MB would not, and that says of 81 sources in a hundred that nobody near them is among a million prefixes. Between the two
//! stands a filter for the others (`GUARD_V4_FILTER`, [`V4Filter`]): a megabyte, in which one in sixteen of them is still listed.
//! IPv6: a filter of [`GUARD_V6_BITS`] bits ([`v6_filter_bits`]) says of most addresses that nobody near is listed; the others are looked
//! up in `GUARD_V6` (LPM trie, value `u32`: a [`Guard`]).
//! Each of the others is an array of two maps, of which `Settings::guard` names the one in force (0: none, 1 and 2): a new list is written
//! beside the old one and takes its place by one write. The most specific prefix decides; allow beats deny at the same length.

use crate::Address;

/// What a list says of an address: its value in two bits.
pub type Guard = u32;

/// The meaning of a [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardVerdict {
    /// Not listed.
    Unlisted,
    /// Dropped.
    Deny,
    /// Let through; limits of sources do not count for it.
    Allow,
    /// Some hosts of this /24 are listed.
    Partial,
}

impl GuardVerdict {
    /// From two bits.
    #[inline(always)]
    pub const fn of(guard: Guard) -> Self {
        match guard & 3 {
            0 => Self::Unlisted,
            1 => Self::Deny,
            2 => Self::Allow,
            _ => Self::Partial,
        }
    }

    /// Two bits.
    pub const fn bits(self) -> Guard {
        self as Guard
    }
}

/// 64-bit words of one block of `GUARD_V4`: 2048 networks.
pub const GUARD_BLOCK_WORDS: usize = 64;

/// Blocks of `GUARD_V4`.
pub const GUARD_V4_BLOCKS: u32 = (1 << 24) / 32 / 64;

/// 64-bit words of each list's part of `GUARD_V4_NEAR`: one for each /16.
pub const GUARD_NEAR_WORDS: u32 = 1 << 16;

/// Where the /22 of an address (its word as it stands in a packet) has its bit: the word, and the shift in it.
#[inline(always)]
pub const fn v4_near(address: u32) -> (u32, u32) {
    let host = u32::from_be(address);
    (host >> 16, (host >> 10) & 63)
}

/// 64-bit words of each list's part of `GUARD_V4_FILTER`: a power of two.
pub const GUARD_FILTER_WORDS: u32 = 1 << 17;

/// What an address looks for in its list's filter, all in one word: three bits for its /24, and three for itself. Listed hosts set theirs when they
/// are few in their /24, else their /24's as one that is listed whole does. Some of the three may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V4Filter {
    /// The word.
    pub place: u32,
    /// The bits of its /24.
    pub network: u64,
    /// The bits of the address.
    pub host: u64,
}

impl V4Filter {
    /// Listed hosts of a /24 that set their own bits; more set their network's.
    pub const HOSTS_MAX: u32 = 4;

    /// Of an address's word as it stands in a packet.
    #[inline(always)]
    pub const fn of(address: u32) -> Self {
        // Its first three bytes are the low ones in this order, which the kernel's machine and ours need not turn around.
        let host = u32::from_le(address) as u64;
        let network = (host & 0xff_ffff).wrapping_mul(MULTIPLIER);
        Self {
            place: (network >> (64 - GUARD_FILTER_WORDS.trailing_zeros())) as u32,
            network: bits(network >> 24),
            host: bits(host.wrapping_mul(MULTIPLIER) >> 40),
        }
    }

    /// May the word's list say something of the address?
    #[inline(always)]
    pub const fn may_be_in(self, word: u64) -> bool {
        word & self.network == self.network || word & self.host == self.host
    }
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Three bits by six bits of a hash each.
#[inline(always)]
const fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63)
}

/// Bits of the filter of IPv6 prefixes: a power of two; in blocks as `GUARD_V4`.
pub const GUARD_V6_BITS: u32 = 1 << 25;

/// The hosts of one /24, two bits each, as [`Guard`]s (never partial).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostsOf24(pub [u64; 8]);

impl HostsOf24 {
    /// The last bytes of the hosts of which the list says something.
    pub fn listed(&self) -> impl Iterator<Item = u32> {
        (0..8_u32).zip(self.0).filter(|(_, word)| *word != 0).flat_map(|(at, word)| {
            let hosts = (0..32).filter(move |host| word >> (host * 2) & 3 != 0);
            hosts.map(move |host| at * 32 + host)
        })
    }
}

/// Where a /24 (the address's upper three bytes as a number) has its two bits: block, word in the block, shift in the word.
#[inline(always)]
pub const fn v4_block(network: u32) -> (u32, u32, u32) {
    (network >> 11, (network >> 5) & 63, (network & 31) * 2)
}

/// The bits that an IPv6 prefix sets in the filter and an address looks at, for the lengths 16, 32 and 48: a prefix sets the bit of the
/// longest of these that is not longer than itself (one shorter than 16 sets those of all the /16 it covers); an address nobody near
/// which is listed finds all three clear.
#[inline(always)]
pub const fn v6_filter_bits(address: &Address) -> [u32; 3] {
    let first = u32::from_be(address.0[0]);
    let second = u32::from_be(address.0[1]) >> 16;
    [filter_bit(first >> 16, 0, 1), filter_bit(first, 0, 2), filter_bit(first, second, 3)]
}

#[inline(always)]
const fn filter_bit(high: u32, low: u32, level: u32) -> u32 {
    let word = (high as u64) << 32 | (low as u64) << 8 | level as u64;
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 32) as u32 & (GUARD_V6_BITS - 1)
}

/// What a source did in one second, in one cell of one of two rows; the smaller of its two cells counts. `SOURCES` (array of
/// 2 * `limits::SOURCES` of these) is of fixed size whatever an attacker sends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceRate {
    /// The second that the counts are of, since boot.
    pub second: u32,
    /// Packets.
    pub packets: u32,
    /// SYNs.
    pub connections: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = assert!(GUARD_FILTER_WORDS.is_power_of_two());
const _: () = assert!(size_of::<HostsOf24>() == 64 && size_of::<SourceRate>() == 16);

#[cfg(test)]
mod tests {
    use super::{GUARD_BLOCK_WORDS, GUARD_NEAR_WORDS, GUARD_V4_BLOCKS, GuardVerdict, v4_block, v4_near};

    #[test]
    fn every_network_has_its_place() {
        assert_eq!(v4_block(0), (0, 0, 0));
        assert_eq!(v4_block(33), (0, 1, 2));
        assert_eq!(v4_block((1 << 24) - 1), (GUARD_V4_BLOCKS - 1, u32::try_from(GUARD_BLOCK_WORDS).unwrap() - 1, 62));
    }

    #[test]
    fn every_22_has_its_bit() {
        let near = |bytes: [u8; 4]| v4_near(u32::from_ne_bytes(bytes));
        assert_eq!(near([0, 0, 3, 255]), (0, 0));
        assert_eq!(near([0, 1, 4, 0]), (1, 1));
        assert_eq!(near([255; 4]), (GUARD_NEAR_WORDS - 1, 63));
    }

    #[test]
    fn two_bits_say_it() {
        for verdict in [GuardVerdict::Unlisted, GuardVerdict::Deny, GuardVerdict::Allow, GuardVerdict::Partial] {
            assert_eq!(GuardVerdict::of(verdict.bits()), verdict);
        }
    }
}
