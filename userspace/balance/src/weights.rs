//! Choosing in proportion to weights.

use alloc::vec::Vec;

/// The choice that `random` falls on, each as likely as its weight; `None` when all weights are zero. For the few choices of a route: walks them.
pub fn weighted(weights: impl Iterator<Item = u32> + Clone, random: u64) -> Option<usize> {
    let total = weights.clone().map(u64::from).sum();
    let mut target = below(random, total)?;
    for (index, weight) in weights.map(u64::from).enumerate() {
        if target < weight {
            return Some(index);
        }
        target -= weight;
    }
    None
}

/// The sums of the weights up to each member: O(log n) a draw.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    up_to: Vec<u64>,
}

/// Draws before the usable members are counted out one by one: few when most are usable.
const DRAWS_MAX: u32 = 8;

impl Weights {
    pub(crate) fn new(weights: &[u32]) -> Self {
        let sum = |total: &mut u64, &weight: &u32| {
            *total += u64::from(weight);
            Some(*total)
        };
        Self { up_to: weights.iter().scan(0, sum).collect() }
    }

    /// A usable member, each as likely as its weight among the usable ones.
    pub(crate) fn draw(&self, random: &mut Random, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let total = self.up_to.last().copied().unwrap_or(0);
        for _ in 0..DRAWS_MAX {
            let target = below(random.next(), total)?;
            let index = self.up_to.partition_point(|&sum| sum <= target);
            if usable(index) {
                return Some(index);
            }
        }
        let usable_weights = (0..self.up_to.len()).map(|index| if usable(index) { self.weight(index) } else { 0 });
        weighted(usable_weights, random.next())
    }

    fn weight(&self, index: usize) -> u32 {
        let before = if index == 0 { 0 } else { self.up_to[index - 1] };
        u32::try_from(self.up_to[index] - before).unwrap_or(u32::MAX)
    }
}

/// A number below `end`, even to 1 in 2^64 / `end`; `None` when there is none.
fn below(random: u64, end: u64) -> Option<u64> {
    (end > 0).then(|| u64::try_from((u128::from(random) * u128::from(end)) >> 64).unwrap_or(u64::MAX))
}

/// More random numbers from one (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_range_falls_where_its_weight_says() {
        let check = |weights: &[u32], expect: &[Option<usize>]| {
            let steps = expect.len() as u64;
            let at = |step: u64| u64::MAX / steps * step + u64::MAX / steps / 2;
            let chosen: Vec<_> = (0..steps).map(|step| weighted(weights.iter().copied(), at(step))).collect();
            assert_eq!(chosen, expect, "{weights:?}");
        };
        check(&[1], &[Some(0), Some(0)]);
        check(&[1, 1], &[Some(0), Some(1)]);
        check(&[3, 0, 1], &[Some(0), Some(0), Some(0), Some(2)]);
        check(&[0, 0], &[None]);
        check(&[], &[None]);
        check(&[u32::MAX, u32::MAX], &[Some(0), Some(1)]);
    }

    #[test]
    fn the_same_weights_draw_the_same_whether_drawn_or_counted_out() {
        let (weights, mut random) = (Weights::new(&[5, 0, 3, 100, 2]), Random(7));
        let mut counts = [0_u32; 5];
        for _ in 0..40_000 {
            // Member 3 is nearly all of the weight: most draws hit it and fall through to counting out.
            counts[weights.draw(&mut random, |index| index != 3).unwrap()] += 1;
        }
        for (index, expect) in [(0, 20_000), (1, 0), (2, 12_000), (3, 0), (4, 8_000)] {
            assert!(counts[index].abs_diff(expect) <= 600, "{counts:?}");
        }
        assert_eq!(weights.draw(&mut random, |_| false), None);
        assert_eq!(Weights::new(&[]).draw(&mut random, |_| true), None);
    }
}
