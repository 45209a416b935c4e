//! Weighted round robin by earliest deadline: a member of weight w has its k-th turn of a round at k/w. Over one round (as many picks as the
//! weights sum to) everyone gets exactly its weight, spread evenly, for O(log n) a pick.

use alloc::{
    collections::{BinaryHeap, binary_heap::PeekMut},
    vec::Vec,
};
use core::cmp::Ordering;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: BinaryHeap<Turn>,
    /// The turn last taken: where members that were away, or are new, come in.
    now: When,
    /// Members found unusable while picking; empty between picks, kept for its memory.
    aside: Vec<Turn>,
}

/// A point of the schedule: `round + step / weight`, exact.
#[derive(Clone, Copy, Debug)]
struct When {
    round: u64,
    step: u32,
    weight: u32,
}

/// A member's next turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    when: When,
    /// Decides between turns at the same point, so that workers do not all begin with the same member.
    order: u32,
    index: u32,
}

impl Turns {
    /// A schedule for `weights`; a weight of 0 never gets a turn. `kept(index)` is the old index of a member that was there before with the
    /// same weight: it keeps its turn. `random` says who begins.
    pub(crate) fn rebuilt(&self, weights: &[u32], random: u64, kept: impl Fn(usize) -> Option<usize>) -> Self {
        let mut old = alloc::vec![None; self.next.iter().map(|turn| turn.index as usize + 1).max().unwrap_or(0)];
        self.next.iter().for_each(|turn| old[turn.index as usize] = Some(turn.when));
        let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let first = u32::try_from(random % u64::from(count.max(1))).unwrap_or(0);
        let turn = |(index, &weight): (u32, &u32)| {
            let when = kept(index as usize).and_then(|index| old.get(index).copied().flatten());
            let when = when.filter(|when| when.weight == weight).unwrap_or_else(|| self.now.first_turn_after(weight));
            Turn { when, order: (index + count - first) % count, index }
        };
        let next = (0..count).zip(weights).filter(|(_, weight)| **weight > 0).map(turn).collect();
        Self { next, now: self.now, aside: Vec::new() }
    }

    /// The next usable member.
    pub(crate) fn pick(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let chosen = self.take_turn(usable);
        // Who was passed over comes back in where the schedule is now: were its old turn kept, it would get them all in a row when it is well.
        while let Some(mut turn) = self.aside.pop() {
            turn.when = self.now.first_turn_after(turn.when.weight);
            self.next.push(turn);
        }
        chosen
    }

    fn take_turn(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        loop {
            let mut turn = self.next.peek_mut()?;
            let index = turn.index as usize;
            if usable(index) {
                self.now = turn.when;
                turn.when = turn.when.following();
                return Some(index);
            }
            self.aside.push(PeekMut::pop(turn));
        }
    }
}

impl When {
    fn following(self) -> Self {
        if self.step < self.weight { Self { step: self.step + 1, ..self } } else { Self { round: self.round + 1, step: 1, ..self } }
    }

    /// The first turn after this point of a member of `weight`.
    fn first_turn_after(self, weight: u32) -> Self {
        let whole = u64::from(self.step) * u64::from(weight) / u64::from(self.weight);
        let at = Self { round: self.round, step: u32::try_from(whole).unwrap_or(weight), weight };
        at.following()
    }
}

impl Default for When {
    /// The beginning.
    fn default() -> Self {
        Self { round: 0, step: 0, weight: 1 }
    }
}

impl Ord for Turn {
    /// The heap gives the greatest first: the earliest turn is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (self.when, other.when);
        let step = || (u64::from(own.step) * u64::from(others.weight)).cmp(&(u64::from(others.step) * u64::from(own.weight)));
        own.round.cmp(&others.round).then_with(step).then(self.order.cmp(&other.order)).reverse()
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[u32], random: u64) -> Turns {
        Turns::default().rebuilt(weights, random, |_| None)
    }

    fn picks(turns: &mut Turns, count: usize) -> Vec<usize> {
        (0..count).filter_map(|_| turns.pick(|_| true)).collect()
    }

    #[test]
    fn turns_are_spread_evenly() {
        let check =
            |weights: &[u32], random, expect: &[usize]| assert_eq!(picks(&mut turns(weights, random), expect.len()), expect, "{weights:?}");
        check(&[1, 1, 1], 0, &[0, 1, 2, 0, 1, 2]);
        check(&[1, 1, 1], 2, &[2, 0, 1, 2, 0, 1]);
        check(&[2, 1], 0, &[0, 0, 1, 0, 0, 1]);
        check(&[4, 2, 1], 0, &[0, 0, 1, 0, 0, 1, 2]);
        check(&[0, 1], 0, &[1, 1]);
    }

    #[test]
    fn every_round_is_exact() {
        let weights: Vec<u32> = (0..10_000).map(|at| 1 + at % 7).collect();
        let round = weights.iter().map(|&weight| weight as usize).sum();
        let mut turns = turns(&weights, 12_345);
        for _ in 0..2 {
            let mut counts = alloc::vec![0; weights.len()];
            for index in picks(&mut turns, round) {
                counts[index] += 1;
            }
            assert_eq!(counts, weights);
        }
    }

    #[test]
    fn who_was_away_does_not_catch_up() {
        let mut turns = turns(&[100, 1, 1], 0);
        for _ in 0..1_000 {
            assert_ne!(turns.pick(|index| index != 0), Some(0));
        }
        let counts = picks(&mut turns, 102).into_iter().fold([0; 3], |mut counts, index| {
            counts[index] += 1;
            counts
        });
        assert!((99..=100).contains(&counts[0]), "{counts:?}");
    }
}
