//! Maglev: which member of a cluster owns which slot of its table, and who comes next in a slot when its owner is away.
//!
//! The table depends on its arguments alone: names, weights and seed, not on the members' order, the time or anybody's
//! health. So every node that has the same configuration has the same table, and nodes that disagree about one member
//! disagree only where that member stands in a slot's order.
//!
//! Members take turns, each claiming the next free slot of its own permutation of all slots; a member of half the weight
//! has every second turn. (Eisenbud et al., "Maglev", NSDI 2016, section 3.4.)

use alloc::{boxed::Box, vec, vec::Vec};

use crate::mix::{mix, mix_bytes};

/// How many slots a table has: a prime, so that every step visits all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize(u32);

impl TableSize {
    /// What fits most: 0.1 % of unevenness for 60 members.
    pub const DEFAULT: Self = Self(65_537);
    /// The sizes there are.
    pub const ALL: [Self; 3] = [Self(4_093), Self(16_381), Self::DEFAULT];

    /// The size of so many slots, if there is one.
    pub fn new(slots: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.0 == slots)
    }

    /// Slots.
    pub const fn slots(self) -> u32 {
        self.0
    }
}

/// One member of a table.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What it is called on every node, the bytes of its address for example; each name once.
    pub name: &'a [u8],
    /// Its share relative to the others'; 0 owns nothing.
    pub weight: u32,
}

/// The owner of every slot, and each slot's own order of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maglev {
    /// By slot, places in the list of members; empty when no member has a weight.
    owners: Box<[u32]>,
    seed: u64,
}

impl Maglev {
    /// The table of these members. O(slots · log slots), whatever the weights.
    pub fn new(size: TableSize, seed: u64, members: &[Member<'_>]) -> Self {
        let weight_max = members.iter().map(|member| member.weight).max().unwrap_or(0);
        let weighty = (0..).zip(members).filter(|(_, member)| member.weight > 0);
        let mut claimants: Vec<Claimant> = weighty.map(|(place, member)| Claimant::new(size, seed, weight_max, place, *member)).collect();
        claimants.sort_unstable_by_key(|claimant| (claimant.identity, claimant.place));
        let owners = if claimants.is_empty() { Box::default() } else { claim_all(size, &mut claimants) };
        Self { owners, seed }
    }

    /// The place of the slot's owner in the list of members; `None` when nobody has a weight or there is no such slot.
    pub fn owner(&self, slot: u32) -> Option<u32> {
        self.owners.get(slot as usize).copied()
    }

    /// The slot's own order of members, its owner first; members come more than once, in proportion to their weight.
    ///
    /// It is a walk over the table with a step of the slot's own. Everybody who owns a slot is met within one round.
    pub fn order(&self, slot: u32) -> impl Iterator<Item = u32> {
        let slots = self.owners.len();
        let step = mix(self.seed ^ u64::from(slot)) % (slots as u64).saturating_sub(1).max(1) + 1;
        let step = usize::try_from(step).unwrap_or(1);
        let mut at = slot as usize;
        (0..slots).filter_map(move |_| {
            let owner = self.owners.get(at).copied();
            at = (at + step) % slots;
            owner
        })
    }

    /// The first usable member in the slot's own order; `None` when there is none.
    pub fn first(&self, slot: u32, usable: impl Fn(u32) -> bool) -> Option<u32> {
        self.order(slot).find(|&place| usable(place))
    }
}

/// A member that claims slots.
struct Claimant {
    place: u32,
    identity: u64,
    /// The slot it would claim next.
    wanted: u32,
    /// From one wanted slot to the next.
    step: u32,
    turns: Turns,
}

impl Claimant {
    fn new(size: TableSize, seed: u64, weight_max: u32, place: u32, member: Member<'_>) -> Self {
        let slots = u64::from(size.0);
        let identity = mix_bytes(seed, member.name);
        let below = |random: u64, end: u64| u32::try_from(random % end).unwrap_or(0);
        let (wanted, step) = (below(identity, slots), below(mix(identity), slots - 1) + 1);
        Self { place, identity, wanted, step, turns: Turns::new(member.weight, weight_max) }
    }

    /// Takes the next free slot of its permutation.
    fn claim(&mut self, table: &mut Unfinished) {
        loop {
            let slot = self.wanted;
            self.wanted += self.step;
            if self.wanted >= table.slots() {
                self.wanted -= table.slots();
            }
            if table.claim(slot, self.place) {
                return;
            }
        }
    }
}

/// When a member has its turns: its k-th (from 0) in round k · heaviest / weight, rounded down. The heaviest has one in every round.
struct Turns {
    next: u32,
    /// Rounds from one turn to the next: a whole number of them, and a rest over `weight`.
    apart: u32,
    rest: u32,
    /// The rests so far, over `weight`.
    rests: u32,
    weight: u32,
}

impl Turns {
    fn new(weight: u32, weight_max: u32) -> Self {
        Self { next: 0, apart: weight_max / weight, rest: weight_max % weight, rests: 0, weight }
    }

    /// The round of the turn after the one just had.
    fn next(&mut self) -> u32 {
        // Without the borrow this is rests + rest - weight, which could overflow in between.
        let carry = self.rests >= self.weight - self.rest && self.rest > 0;
        self.rests = if carry { self.rests - (self.weight - self.rest) } else { self.rests + self.rest };
        self.next = self.next.saturating_add(self.apart).saturating_add(u32::from(carry));
        self.next
    }
}

/// A table that is being filled. What is free is kept as bits as well: most of what is looked at is taken, and the bits fit into the
/// fastest cache.
struct Unfinished {
    owners: Box<[u32]>,
    taken: Box<[u64]>,
}

impl Unfinished {
    fn new(size: TableSize) -> Self {
        let slots = size.0 as usize;
        Self { owners: vec![0; slots].into(), taken: vec![0; slots.div_ceil(64)].into() }
    }

    fn slots(&self) -> u32 {
        u32::try_from(self.owners.len()).unwrap_or(u32::MAX)
    }

    /// Gives a slot to a member, unless somebody has it.
    fn claim(&mut self, slot: u32, place: u32) -> bool {
        let (word, bit) = (&mut self.taken[slot as usize / 64], 1 << (slot % 64));
        let is_free = *word & bit == 0;
        if is_free {
            *word |= bit;
            self.owners[slot as usize] = place;
        }
        is_free
    }
}

/// Turn after turn until no slot is free. Everybody has a turn in the first round: the smallest weight still owns a slot.
fn claim_all(size: TableSize, claimants: &mut [Claimant]) -> Box<[u32]> {
    let mut table = Unfinished::new(size);
    let mut rounds = Rounds::new(size, claimants.len());
    (0..claimants.len()).for_each(|index| rounds.push(0, index));
    for _ in 0..size.0 {
        let index = rounds.pop();
        claimants[index].claim(&mut table);
        rounds.push(claimants[index].turns.next(), index);
    }
    table.owners
}

/// Who has a turn in which round: first in, first out, O(1) each way. (A heap would take as long as everything else together.)
struct Rounds {
    /// By round, the first and the last in the queue. The heaviest claims in every round, so there are no more rounds than slots.
    ends: Box<[(u32, u32)]>,
    /// By claimant, who comes after it in the same round.
    after: Box<[u32]>,
    now: usize,
}

/// The end of a queue.
const NOBODY: u32 = u32::MAX;

impl Rounds {
    fn new(size: TableSize, claimants: usize) -> Self {
        let ends = vec![(NOBODY, NOBODY); size.0 as usize].into();
        Self { ends, after: vec![NOBODY; claimants].into(), now: 0 }
    }

    /// A turn behind the last round never comes: the table is full by then.
    fn push(&mut self, round: u32, index: usize) {
        let Some((first, last)) = self.ends.get_mut(round as usize) else { return };
        self.after[index] = NOBODY;
        let number = u32::try_from(index).unwrap_or(NOBODY);
        if *first == NOBODY {
            *first = number;
        } else {
            self.after[*last as usize] = number;
        }
        *last = number;
    }

    fn pop(&mut self) -> usize {
        while self.ends[self.now].0 == NOBODY {
            self.now += 1;
        }
        let first = &mut self.ends[self.now].0;
        let index = *first as usize;
        *first = self.after[index];
        index
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("10.0.{}.{}:443", index / 256, index % 256)).collect()
    }

    fn table(names: &[String], weight: impl Fn(usize) -> u32) -> Maglev {
        let members: Vec<Member<'_>> =
            names.iter().enumerate().map(|(index, name)| Member { name: name.as_bytes(), weight: weight(index) }).collect();
        Maglev::new(TableSize::DEFAULT, 7, &members)
    }

    fn slots() -> core::ops::Range<u32> {
        0..TableSize::DEFAULT.slots()
    }

    fn counts(members: usize, owner: impl Fn(u32) -> Option<u32>) -> Vec<u32> {
        let mut counts = vec![0; members];
        slots().filter_map(owner).for_each(|place| counts[place as usize] += 1);
        counts
    }

    #[test]
    fn slots_are_shared_by_weight() {
        let check = |count: usize, weight: fn(usize) -> u32| {
            let names = names(count);
            let table = table(&names, weight);
            let total: f64 = (0..count).map(|index| f64::from(weight(index))).sum();
            for (index, &owned) in counts(count, |slot| table.owner(slot)).iter().enumerate() {
                let share = f64::from(TableSize::DEFAULT.slots()) * f64::from(weight(index)) / total;
                let bound = if weight(index) == 0 { 0.0 } else { 1.0 + share * 0.002 };
                assert!((f64::from(owned) - share).abs() <= bound, "{count} members: {index} owns {owned}, its share is {share}");
            }
        };
        check(1, |_| 1);
        check(2, |_| 1);
        check(3, |index| [1, 2, 1][index]);
        check(60, |_| 1);
        check(1_000, |_| 1);
        check(100, |index| 1 + u32::try_from(index % 10).unwrap());
        check(50, |index| if index == 0 { 1_000 } else { 20 });
        check(50, |index| u32::from(index != 9));
    }

    #[test]
    fn the_smallest_weight_owns_a_slot_and_none_owns_none() {
        let smallest = table(&names(100), |index| if index == 0 { 1 } else { 1_000_000 });
        assert_eq!(counts(100, |slot| smallest.owner(slot))[0], 1);
        for nobody in [table(&names(3), |_| 0), table(&[], |_| 1)] {
            assert_eq!((nobody.owner(0), nobody.first(0, |_| true)), (None, None));
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter() {
        let names = names(40);
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let weight = |index: usize| 1 + u32::try_from(index % 5).unwrap();
        let (one, other) = (table(&names, weight), table(&reversed, |index| weight(39 - index)));
        for slot in slots() {
            assert_eq!(one.owner(slot), other.owner(slot).map(|place| 39 - place));
            assert!(one.order(slot).take(9).eq(other.order(slot).take(9).map(|place| 39 - place)));
        }
    }

    #[test]
    fn another_seed_is_another_table() {
        let names = names(10);
        let members: Vec<Member<'_>> = names.iter().map(|name| Member { name: name.as_bytes(), weight: 1 }).collect();
        let (one, other) = (Maglev::new(TableSize::DEFAULT, 1, &members), Maglev::new(TableSize::DEFAULT, 2, &members));
        let same = slots().filter(|&slot| one.owner(slot) == other.owner(slot)).count();
        assert!((4_000..9_000).contains(&same), "{same}");
    }

    /// Slots that moved although neither their old nor their new owner came or went.
    fn moved_beside(count: usize, weight: impl Fn(usize) -> u32 + Copy) -> (usize, usize) {
        let names = names(count);
        let (all, fewer) = (table(&names, weight), table(&names, |index| if index == 3 { 0 } else { weight(index) }));
        let moved = slots().filter(|&slot| all.owner(slot) != fewer.owner(slot)).count();
        let own = slots().filter(|&slot| all.owner(slot) == Some(3)).count();
        (moved - own, own)
    }

    #[test]
    fn a_member_that_comes_or_goes_moves_little_else() {
        for (count, percent_max) in [(2, 1), (10, 2), (100, 2), (1_000, 2)] {
            let (beside, own) = moved_beside(count.max(4), |_| 1);
            assert!(beside * 100 <= percent_max * TableSize::DEFAULT.slots() as usize, "{count} members: {beside} beside {own}");
            let (beside, own) = moved_beside(count.max(4), |index| 1 + u32::try_from(index % 3).unwrap());
            assert!(beside * 100 <= 2 * percent_max * TableSize::DEFAULT.slots() as usize, "{count} weighted: {beside} beside {own}");
        }
    }

    #[test]
    fn a_member_that_is_away_moves_its_own_slots_only_and_spreads_them() {
        let table = table(&names(20), |_| 1);
        let without = |slot| table.first(slot, |place| place != 3);
        for slot in slots() {
            let owner = table.owner(slot);
            assert!(if owner == Some(3) { without(slot) != owner } else { without(slot) == owner });
        }
        let share = TableSize::DEFAULT.slots() / 19;
        for (place, owned) in counts(20, without).into_iter().enumerate() {
            assert!(place == 3 && owned == 0 || owned.abs_diff(share) < share / 10, "{place}: {owned}");
        }
    }

    #[test]
    fn nodes_that_disagree_about_one_member_differ_where_it_stands() {
        let table = table(&names(20), |index| 1 + u32::try_from(index % 4).unwrap());
        // Both know that 3 and 4 are away; one believes 7 away too.
        let (one, other) =
            (|slot| table.first(slot, |place| ![3, 4].contains(&place)), |slot| table.first(slot, |place| ![3, 4, 7].contains(&place)));
        assert!(slots().all(|slot| one(slot) == other(slot) || one(slot) == Some(7)));
    }

    #[test]
    fn the_last_member_left_is_found_in_every_slot() {
        let table = table(&names(1_000), |_| 1);
        assert!(slots().all(|slot| table.first(slot, |place| place == 999) == Some(999)));
        assert_eq!(table.first(0, |_| false), None);
    }

    #[test]
    fn every_size_is_prime() {
        for size in TableSize::ALL {
            let slots = size.slots();
            assert!((2..slots).take_while(|divisor| divisor * divisor <= slots).all(|divisor| !slots.is_multiple_of(divisor)), "{slots}");
        }
    }
}
