//! The simulation's only source of chance: splitmix64, whose whole state is one word, so that a seed says everything.

use core::ops::RangeInclusive;

/// A deterministic random number generator. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// How often something happens: so many times in ten thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance(pub u16);

impl Random {
    /// The generator of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x51_75_1C_E5_1D_00_00_01)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..count`; 0 when there is none.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u128::try_from(count).unwrap_or(u128::MAX);
        usize::try_from((u128::from(self.bits()) * count) >> 64).unwrap_or(0)
    }

    /// One of `range`.
    pub fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let width = u128::from(range.end().saturating_sub(*range.start())) + 1;
        range.start() + u64::try_from((u128::from(self.bits()) * width) >> 64).unwrap_or(0)
    }

    /// Whether it happens this time.
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance.0 > 0 && self.below(10_000) < usize::from(chance.0)
    }

    /// One of the choices, each as likely as the others.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Puts `items` into any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }

    /// A generator of its own, so that what one host draws does not shift what another draws.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(1);
        let draws: Vec<u64> = (0..1000).map(|_| random.within(&(3..=5))).collect();
        assert!([3, 4, 5].iter().all(|wanted| draws.contains(wanted)) && draws.iter().all(|drawn| (3..=5).contains(drawn)));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.within(&(7..=7)), 7);
        assert!(!random.happens(Chance(0)) && random.happens(Chance(10_000)));
        let mut order: Vec<u32> = (0..100).collect();
        random.shuffle(&mut order);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
