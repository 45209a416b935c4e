//! Deny and allow lists: from prefixes to what the kernel looks at, and how a list takes the place of another.
//!
//! The work is done here, once: every /24 is worked out to two bits, so that the kernel never walks a tree for IPv4. The kernel holds two lists,
//! of which one is in force: a new one is written beside it and takes over by one write of the settings.

use crate::load::Balancer;
use abi::{
    Address, GUARD_BLOCK_WORDS, GUARD_FILTER_WORDS, GUARD_NEAR_WORDS, GUARD_V4_BLOCKS, GUARD_V6_BITS, Guard, GuardVerdict, HostsOf24,
    V4Filter, v4_block, v4_near, v6_filter_bits,
};
use alloc::collections::BTreeMap;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, ArrayOfMaps, HashMap, MapData, MapError};
use core::net::{IpAddr, Ipv4Addr};

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Bits of the network that count: 0 to 32, or 0 to 128.
    pub length: u8,
    /// Whether it lets in what it covers; else it keeps it out.
    pub allow: bool,
    /// The network; bits beyond the length do not matter.
    pub network: IpAddr,
}

/// A compiled list.
pub struct GuardList {
    /// Two bits for each /24.
    v4: Box<[[u64; GUARD_BLOCK_WORDS]]>,
    hosts: BTreeMap<u32, HostsOf24>,
    v4_near: Box<[u64]>,
    v4_filter: Box<[u64]>,
    v6_filter: Box<[[u64; GUARD_BLOCK_WORDS]]>,
    v6: BTreeMap<(u8, [u8; 16]), Guard>,
}

const FILTER_BLOCKS: usize = GUARD_V6_BITS as usize / 64 / GUARD_BLOCK_WORDS;
const NETWORK_BITS: u8 = 24;
/// Lengths that have a level in the filter of IPv6 prefixes, with the bit's place in `v6_filter_bits`.
const LEVELS: [(u8, usize); 3] = [(48, 2), (32, 1), (16, 0)];

impl GuardList {
    /// Compile a list. The most specific prefix decides; at the same length allow beats deny.
    pub fn compile(mut prefixes: Vec<Prefix>) -> Self {
        // Wider ones first, deny before allow: what comes later is right.
        prefixes.sort_unstable();
        let mut list = Self {
            v4: vec![[0; GUARD_BLOCK_WORDS]; GUARD_V4_BLOCKS as usize].into(),
            hosts: BTreeMap::new(),
            v4_near: Box::default(),
            v4_filter: Box::default(),
            v6_filter: vec![[0; GUARD_BLOCK_WORDS]; FILTER_BLOCKS].into(),
            v6: BTreeMap::new(),
        };
        for prefix in prefixes {
            let guard = if prefix.allow { GuardVerdict::Allow } else { GuardVerdict::Deny };
            match prefix.network {
                IpAddr::V4(network) => list.add_v4(u32::from(network), prefix.length.min(32), guard),
                IpAddr::V6(network) => list.add_v6(u128::from(network), prefix.length.min(128), guard),
            }
        }
        (list.v4_near, list.v4_filter) = (list.near_of_v4().into(), list.filter_of_v4().into());
        list
    }

    fn add_v4(&mut self, network: u32, length: u8, guard: GuardVerdict) {
        let first = network & mask(length);
        if length <= NETWORK_BITS {
            let networks = 1_u32 << (NETWORK_BITS - length);
            (first >> 8..(first >> 8) + networks).for_each(|network| self.set_network(network, guard));
            return;
        }
        let number = first >> 8;
        let before = self.network(number);
        let hosts = self.hosts.entry(number).or_insert_with(|| HostsOf24([spread(before); 8]));
        let last = first | !mask(length);
        for host in first & 255..=last & 255 {
            set(&mut hosts.0[host as usize / 32], (host & 31) * 2, guard);
        }
        self.set_network(number, GuardVerdict::Partial);
    }

    fn add_v6(&mut self, network: u128, length: u8, guard: GuardVerdict) {
        let network = network & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        self.v6.insert((length, network.to_be_bytes()), guard.bits());
        if let Some((_, level)) = LEVELS.into_iter().find(|(bits, _)| length >= *bits) {
            self.set_filter(network, level);
        } else {
            let covered = 1_u128 << (16 - length);
            (0..covered).for_each(|at| self.set_filter(network | at << 112, 0));
        }
    }

    /// What is near to IPv4's networks.
    fn near_of_v4(&self) -> Vec<u64> {
        let mut near = vec![0; GUARD_NEAR_WORDS as usize];
        for (number, word) in (0..).zip(self.v4.iter().flatten()).filter(|(_, word)| **word != 0) {
            for network in (0..32_u32).filter(|network| word >> (network * 2) & 3 != 0) {
                let (place, shift) = near_place((number * 32 + network) << 8);
                near[place] |= 1_u64 << shift;
            }
        }
        near
    }

    /// The filter in front of IPv4's networks.
    fn filter_of_v4(&self) -> Vec<u64> {
        let mut filter = vec![0; GUARD_FILTER_WORDS as usize];
        let mut set = |at: V4Filter, bits: u64| filter[at.place as usize] |= bits;
        let whole = |guard: u64| guard & 3 != 0 && guard & 3 != u64::from(GuardVerdict::Partial.bits());
        for (number, word) in (0..).zip(self.v4.iter().flatten()).filter(|(_, word)| **word != 0) {
            for network in (0..32_u32).filter(|network| whole(word >> (network * 2))) {
                let place = filter_place((number * 32 + network) << 8);
                set(place, place.network);
            }
        }
        for (network, hosts) in &self.hosts {
            let place = filter_place(network << 8);
            if hosts.listed().count() > V4Filter::HOSTS_MAX as usize {
                set(place, place.network);
            } else {
                hosts.listed().for_each(|host| set(place, filter_place(network << 8 | host).host));
            }
        }
        filter
    }

    /// How far a packet of this source is looked into: 1 what is near alone, 2 the filter, 3 the networks, 4 the hosts.
    pub fn steps(&self, source: Ipv4Addr) -> usize {
        let host = u32::from(source);
        let (near, shift) = near_place(host);
        if self.v4_near[near] >> shift & 1 == 0 {
            return 1;
        }
        let place = filter_place(host);
        if !place.may_be_in(self.v4_filter[place.place as usize]) {
            return 2;
        }
        if self.network(host >> 8) == GuardVerdict::Partial { 4 } else { 3 }
    }

    fn set_filter(&mut self, network: u128, level: usize) {
        let bit = v6_filter_bits(&Address::v6(network.to_be_bytes()))[level] as usize;
        self.v6_filter[bit / 64 / GUARD_BLOCK_WORDS][bit / 64 % GUARD_BLOCK_WORDS] |= 1 << (bit % 64);
    }

    fn network(&self, number: u32) -> GuardVerdict {
        let (block, word, shift) = v4_block(number);
        GuardVerdict::of(two_bits(self.v4[block as usize][word as usize] >> shift))
    }

    fn set_network(&mut self, number: u32, guard: GuardVerdict) {
        let (block, word, shift) = v4_block(number);
        set(&mut self.v4[block as usize][word as usize], shift, guard);
    }
}

impl Balancer {
    /// Put a list in force instead of the one that is, which is kept beside it until the next. Its number, as `Settings::guard` has it.
    pub fn put_guard(&mut self, list: &GuardList) -> Result<u32, MapError> {
        let mut settings = self.settings()?;
        let place = u32::from(settings.guard == 1);
        let mut map = self.array::<u64>("GUARD_V4_NEAR")?;
        (place * GUARD_NEAR_WORDS..).zip(&list.v4_near).try_for_each(|(at, word)| map.set(at, *word, 0))?;
        let mut map = self.array::<u64>("GUARD_V4_FILTER")?;
        (place * GUARD_FILTER_WORDS..).zip(&list.v4_filter).try_for_each(|(at, word)| map.set(at, *word, 0))?;
        self.put_inner("GUARD_V4", place, &bits(&list.v4)?)?;
        self.put_inner("GUARD_V6_FILTER", place, &bits(&list.v6_filter)?)?;
        let mut hosts: HashMap<MapData, u32, HostsOf24> = HashMap::create(abi::limits::GUARD_PARTIAL, NO_PREALLOC)?;
        list.hosts.iter().try_for_each(|(network, of)| hosts.insert(network, of, 0))?;
        self.put_inner("GUARD_HOSTS", place, &hosts)?;
        let mut prefixes: LpmTrie<MapData, [u8; 16], Guard> = LpmTrie::create(abi::limits::GUARD_V6, NO_PREALLOC)?;
        for ((length, network), guard) in &list.v6 {
            prefixes.insert(&Key::new(u32::from(*length), *network), *guard, 0)?;
        }
        self.put_inner("GUARD_V6", place, &prefixes)?;
        settings.guard = place + 1;
        self.put_settings(settings)?;
        Ok(settings.guard)
    }

    /// No list in force.
    pub fn remove_guard(&mut self) -> Result<(), MapError> {
        let settings = self.settings()?;
        self.put_settings(abi::Settings { guard: 0, ..settings })
    }

    fn put_inner<M: aya::maps::InnerMap>(&mut self, name: &'static str, place: u32, map: &M) -> Result<(), MapError> {
        let mut outer: ArrayOfMaps<_, M> = ArrayOfMaps::try_from(self.map(name)?)?;
        outer.set(place, map, 0)
    }
}

/// The kernel's `BPF_F_NO_PREALLOC`: memory for what is in it, not for what could be.
const NO_PREALLOC: u32 = 1;

fn bits(blocks: &[[u64; GUARD_BLOCK_WORDS]]) -> Result<Array<MapData, Block>, MapError> {
    let mut map = Array::create(u32::try_from(blocks.len()).unwrap_or(u32::MAX), 0)?;
    // A new map is zero already.
    for (at, block) in (0..).zip(blocks).filter(|(_, block)| block.iter().any(|word| *word != 0)) {
        map.set(at, *block, 0)?;
    }
    Ok(map)
}

type Block = [u64; GUARD_BLOCK_WORDS];

/// Where the /22 of an address as a number has its bit.
fn near_place(host: u32) -> (usize, u32) {
    let (place, shift) = v4_near(host.to_be());
    (place as usize, shift)
}

/// Where an address as a number has its bits.
fn filter_place(host: u32) -> V4Filter {
    V4Filter::of(host.to_be())
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn set(word: &mut u64, shift: u32, guard: GuardVerdict) {
    *word = *word & !(3 << shift) | u64::from(guard.bits()) << shift;
}

/// The same two bits, 32 times.
fn spread(guard: GuardVerdict) -> u64 {
    u64::from(guard.bits()) * 0x5555_5555_5555_5555
}

fn two_bits(word: u64) -> Guard {
    // Two bits always fit.
    u32::try_from(word & 3).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{GuardList, Prefix};
    use abi::{GuardVerdict, v4_block};
    use core::net::Ipv4Addr;

    fn list(lines: &[&str]) -> GuardList {
        GuardList::compile(lines.iter().map(|line| prefix(line)).collect())
    }

    fn prefix(line: &str) -> Prefix {
        let (verb, rest) = line.split_once(' ').unwrap();
        let (network, length) = rest.split_once('/').unwrap();
        Prefix { length: length.parse().unwrap(), allow: verb == "allow", network: network.parse().unwrap() }
    }

    /// What the kernel would find, in the words of `abi`.
    fn find(list: &GuardList, address: &str) -> GuardVerdict {
        let host = u32::from(address.parse::<Ipv4Addr>().unwrap());
        let (block, word, shift) = v4_block(host >> 8);
        match GuardVerdict::of(super::two_bits(list.v4[block as usize][word as usize] >> shift)) {
            GuardVerdict::Partial => {
                let words = list.hosts[&(host >> 8)].0;
                GuardVerdict::of(super::two_bits(words[(host & 255) as usize / 32] >> ((host & 31) * 2)))
            }
            verdict @ (GuardVerdict::Unlisted | GuardVerdict::Deny | GuardVerdict::Allow) => verdict,
        }
    }

    #[test]
    fn the_most_specific_decides() {
        let list = list(&[
            "deny 10.0.0.0/8",
            "allow 10.1.2.0/24",
            "deny 10.1.2.128/25",
            "allow 10.1.2.200/32",
            "deny 9.9.9.9/32",
            "allow 9.9.9.9/32",
        ]);
        for (address, expect) in [
            ("10.200.0.1", GuardVerdict::Deny),
            ("10.1.2.127", GuardVerdict::Allow),
            ("10.1.2.128", GuardVerdict::Deny),
            ("10.1.2.200", GuardVerdict::Allow),
            ("10.1.3.200", GuardVerdict::Deny),
            ("9.9.9.9", GuardVerdict::Allow),
            ("9.9.9.8", GuardVerdict::Unlisted),
            ("11.0.0.0", GuardVerdict::Unlisted),
            ("0.0.0.0", GuardVerdict::Unlisted),
        ] {
            assert_eq!(find(&list, address), expect, "{address}");
        }
    }

    /// The filter never hides what is listed, and hosts that are few hide none of their neighbours' way past it.
    #[test]
    fn the_filter_lets_all_through_that_is_listed() {
        let list =
            list(&["deny 10.0.0.0/16", "allow 10.0.3.7/32", "deny 192.0.2.128/25", "deny 198.51.100.1/32", "deny 198.51.100.200/32"]);
        for (address, steps) in [
            ("10.0.0.0", 3),
            ("10.0.255.255", 3),
            ("10.0.3.7", 4),
            ("10.0.3.8", 4),
            ("192.0.2.200", 4),
            ("192.0.2.1", 4),
            ("198.51.100.1", 4),
            ("198.51.100.200", 4),
            ("198.51.100.2", 2),
            ("198.51.103.2", 2),
            ("198.51.104.1", 1),
            ("203.0.113.1", 1),
        ] {
            assert_eq!(list.steps(address.parse().unwrap()), steps, "{address}");
        }
    }

    #[test]
    fn everything_is_a_prefix_too() {
        let list = list(&["deny 0.0.0.0/0", "allow 255.255.255.255/32"]);
        assert_eq!(find(&list, "0.0.0.0"), GuardVerdict::Deny);
        assert_eq!(find(&list, "255.255.255.254"), GuardVerdict::Deny);
        assert_eq!(find(&list, "255.255.255.255"), GuardVerdict::Allow);
    }
}
