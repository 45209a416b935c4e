//! The hash of a flow: the same on every node of one seed, in the kernel and in userspace.
//!
//! Multiply and fold over 64-bit words: a few cycles, and good enough bits at the top, which are the ones that pick the slot. The seed is
//! secret: who knows it can choose flows that meet in one slot.

use crate::Address;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a client's address and both ports (`ports` as four bytes of the packet, source port first; 0 for `hash: source`).
/// The VIP's address is no part of it: a client keeps its slot on all addresses of one VIP.
///
/// Address and ports stand side by side, never one upon the other: flows that are alike whatever the seed could be made up.
#[inline(always)]
pub const fn flow_hash(seed: u32, source: &Address, ports: u32) -> u32 {
    let seed = pair(seed, seed);
    if source.is_v4() {
        return (mix(seed ^ pair(source.0[3], ports)) >> 32) as u32;
    }
    let hash = mix(seed ^ pair(source.0[0], source.0[1]));
    let hash = mix(hash ^ pair(source.0[2], source.0[3]));
    (mix(hash ^ ports as u64) >> 32) as u32
}

/// The slot of a hash among `slots`.
#[inline(always)]
pub const fn slot_of(hash: u32, slots: u32) -> u32 {
    ((hash as u64 * slots as u64) >> 32) as u32
}

#[inline(always)]
const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

#[inline(always)]
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 29)).wrapping_mul(MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::{flow_hash, slot_of};
    use crate::Address;

    const SLOTS: u32 = 1009;

    /// No slot is hit more than three times as often as the mean, whatever part of the flow it is that differs.
    #[test]
    fn every_part_spreads() {
        type Make = fn(u32) -> (Address, u32);
        let table: [(&str, Make); 5] = [
            ("source port", |i| (Address::v4([10, 0, 0, 1]), i.swap_bytes() >> 16 | 443_u32.swap_bytes())),
            ("source", |i| (Address::v4((0x0a00_0000 + i).to_be_bytes()), 0)),
            ("high bytes of the source", |i| (Address::v4(i.to_le_bytes()), 0)),
            ("IPv6 interface", |i| (Address::v6((0x2001_0db8_u128 << 96 | u128::from(i)).to_be_bytes()), 0)),
            ("IPv6 network", |i| (Address::v6((0x2001_0db8_u128 << 96 | u128::from(i) << 64).to_be_bytes()), 0)),
        ];
        for (what, make) in table {
            let mut hits = [0_u32; SLOTS as usize];
            for i in 0..SLOTS * 50 {
                let (source, ports) = make(i);
                hits[slot_of(flow_hash(7, &source, ports), SLOTS) as usize] += 1;
            }
            let (least, most) = (hits.iter().min().unwrap(), hits.iter().max().unwrap());
            assert!(*most < 100 && *least > 15, "{what}: {least} to {most}, mean 50");
        }
    }

    /// Who does not know the seed cannot make up flows that meet in one slot: neither by moving bits between address and port.
    #[test]
    fn address_and_port_are_apart() {
        let slot = |address: u32, ports: u32| slot_of(flow_hash(7, &Address::v4(address.to_ne_bytes()), ports), SLOTS);
        let same = (0..1000).filter(|bits| slot(0x0a00_0000 ^ bits, *bits) == slot(0x0a00_0000, 0)).count();
        assert!(same < 10, "{same}");
    }

    #[test]
    fn a_seed_changes_everything() {
        let client = Address::v4([192, 0, 2, 7]);
        let same = (0..1000).filter(|seed| slot_of(flow_hash(*seed, &client, 1), SLOTS) == slot_of(flow_hash(seed + 1, &client, 1), SLOTS));
        assert!(same.count() < 10);
    }

    #[test]
    fn slots_have_an_end() {
        assert_eq!((slot_of(0, SLOTS), slot_of(u32::MAX, SLOTS), slot_of(u32::MAX, 65537)), (0, SLOTS - 1, 65536));
    }
}
