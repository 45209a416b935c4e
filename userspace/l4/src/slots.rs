//! What the slots of one table remember: who owned a slot before, so that its established flows stay where they are.
//!
//! A slot is *at home* when everything that still flows through it belongs to its owner; then the kernel keeps nothing for its flows.
//! A change of owner makes it go *away* until `settle` has passed without another change. Meanwhile every flow belongs to its pin (it
//! began while the slot was away) or to the fallback (it began before): exact, however many changes there are, as long as pins are
//! written. The alternates are for envelopes that can name several candidates instead of pinning.
//!
//! Time is an argument: seconds since boot, as the kernel's records have it, so that a later process can go on from them ([`Slots::adopt`]).

use alloc::{boxed::Box, collections::BTreeMap};

use abi::{ALTERNATES_MAX, AWAY, Away, NO_BACKEND, OWNER, Slot};

/// The slots of one table, with the records of those that are away. Owners are backends' numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    words: Box<[Slot]>,
    away: BTreeMap<u32, Away>,
}

impl Slots {
    /// A table with no past: every slot at home.
    pub fn new(owners: impl Iterator<Item = u32>) -> Self {
        Self { words: owners.map(|owner| owner & OWNER).collect(), away: BTreeMap::new() }
    }

    /// A table as another process left it. A slot whose record is missing is at home, as it is for the kernel; a record of a slot that is
    /// at home is stale.
    pub fn adopt(words: Box<[Slot]>, records: impl Iterator<Item = (u32, Away)>) -> Self {
        let is_away = |slot: u32| words.get(slot as usize).is_some_and(|word| word & AWAY != 0);
        let away: BTreeMap<u32, Away> = records.filter(|(slot, _)| is_away(*slot)).collect();
        let mut slots = Self { words, away };
        for (slot, word) in (0..).zip(&mut slots.words) {
            *word = match slots.away.get(&slot) {
                Some(record) => record.current & OWNER | AWAY,
                None => *word & OWNER,
            };
        }
        slots
    }

    /// How many slots there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.words.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no slot at all.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words, as the kernel's table has them.
    pub fn words(&self) -> &[Slot] {
        &self.words
    }

    /// The records of the slots that are away, by slot.
    pub fn away(&self) -> &BTreeMap<u32, Away> {
        &self.away
    }

    /// Gives every slot the owner that `owner` names for it, from `now_s` on.
    pub fn retarget(&mut self, now_s: u32, owner: impl Fn(u32) -> u32) {
        for (slot, word) in (0..).zip(&mut self.words) {
            let new = owner(slot) & OWNER;
            if *word & OWNER == new {
                continue;
            }
            *word = match self.away.get_mut(&slot) {
                Some(record) => {
                    hand_over(record, new, now_s);
                    new | AWAY
                }
                // Nobody owned it: there is nothing to remember.
                None if *word == NO_BACKEND => new,
                None => {
                    // The moment is a number of its own: a slot that leaves again has been at home for `settle`, a second at least.
                    let record = Away { current: new, fallback: *word, episode: now_s, changed_s: now_s, ..Away::default() };
                    self.away.insert(slot, record);
                    new | AWAY
                }
            };
        }
    }

    /// Sends home whatever has not changed for `settle_s` (at least 1).
    pub fn settle(&mut self, now_s: u32, settle_s: u32) {
        self.settle_if(|record| now_s.saturating_sub(record.changed_s) >= settle_s.max(1));
    }

    /// Sends home the slots that changed at `changed_s` or before, whether they have settled or not: the way out when the kernel's map of
    /// records is full. Flows that began before the change lose their owner. Returns how many slots that were.
    pub fn settle_early(&mut self, changed_s: u32) -> usize {
        let before = self.away.len();
        self.settle_if(|record| record.changed_s <= changed_s);
        before - self.away.len()
    }

    /// When [`Self::settle`] will next have something to do.
    pub fn settles_at(&self, settle_s: u32) -> Option<u32> {
        self.away.values().map(|record| record.changed_s.saturating_add(settle_s.max(1))).min()
    }

    fn settle_if(&mut self, is_over: impl Fn(&Away) -> bool) {
        let Self { words, away } = self;
        away.retain(|&slot, record| {
            let goes_home = is_over(record);
            if goes_home {
                words[slot as usize] = record.current & OWNER;
            }
            !goes_home
        });
    }
}

/// A slot that is away gets another owner: the one before becomes an alternate, unless it is the fallback anyway.
fn hand_over(record: &mut Away, new: u32, now_s: u32) {
    let before = [record.current].into_iter().chain(record.alternates);
    let is_other = |&owner: &u32| owner != NO_BACKEND && owner != new && owner != record.fallback;
    let mut alternates = [NO_BACKEND; ALTERNATES_MAX];
    for owner in before.filter(is_other) {
        if !alternates.contains(&owner)
            && let Some(free) = alternates.iter_mut().find(|alternate| **alternate == NO_BACKEND)
        {
            *free = owner;
        }
    }
    *record = Away { current: new, alternates, changed_s: now_s, ..*record };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE_S: u32 = 100;

    /// One slot: what happens at which second, and what it looks like then: "current", or "current<fallback alternates @episode".
    fn check(steps: &[(u32, u32, &str)]) {
        let mut slots = Slots::new([1].into_iter());
        for &(now_s, owner, expect) in steps {
            slots.settle(now_s, SETTLE_S);
            slots.retarget(now_s, |_| owner);
            let told = match slots.away().get(&0) {
                None => alloc::format!("{}", slots.words()[0]),
                Some(away) => {
                    assert_eq!(slots.words()[0], away.current | AWAY);
                    let alternates = away.alternates.map(|owner| alloc::format!("{owner}")).join(",").replace(",0", "");
                    alloc::format!("{}<{} {alternates} @{}", away.current, away.fallback, away.episode)
                }
            };
            assert_eq!(told, expect, "at {now_s} s");
        }
    }

    #[test]
    fn a_slot_remembers_who_owned_it_until_it_has_settled() {
        check(&[(10, 1, "1"), (10, 2, "2<1 0 @10"), (109, 2, "2<1 0 @10"), (110, 2, "2")]);
        // Back and settled; then away again, which is another episode.
        check(&[(10, 2, "2<1 0 @10"), (20, 1, "1<1 2 @10"), (119, 1, "1<1 2 @10"), (120, 1, "1"), (120, 3, "3<1 0 @120")]);
        // Every change begins the time anew, and the fallback stays.
        check(&[(10, 2, "2<1 0 @10"), (100, 3, "3<1 2 @10"), (190, 2, "2<1 3 @10"), (289, 2, "2<1 3 @10"), (290, 2, "2")]);
        // More owners than can be remembered: the oldest are forgotten.
        check(&[
            (10, 2, "2<1 0 @10"),
            (11, 3, "3<1 2 @10"),
            (12, 4, "4<1 3,2 @10"),
            (13, 5, "5<1 4,3,2 @10"),
            (14, 6, "6<1 5,4,3 @10"),
            (15, 4, "4<1 6,5,3 @10"),
            (16, 1, "1<1 4,6,5 @10"),
        ]);
    }

    #[test]
    fn nobody_is_an_owner_like_another_but_leaves_nothing_to_remember() {
        check(&[(10, 0, "0<1 0 @10"), (20, 2, "2<1 0 @10"), (120, 2, "2")]);
        check(&[(10, 0, "0<1 0 @10"), (110, 0, "0"), (111, 2, "2"), (112, 3, "3<2 0 @112")]);
    }

    #[test]
    fn another_process_goes_on_where_one_ended() {
        let mut slots = Slots::new((0..9).map(|slot| slot % 3 + 1));
        slots.retarget(50, |slot| if slot % 3 == 0 { 7 } else { slot % 3 + 1 });
        let records = |slots: &Slots| slots.away().clone().into_iter();
        assert_eq!(Slots::adopt(slots.words().into(), records(&slots)), slots);
        // A record that did not get written: the kernel goes by the slot alone, and so do we. One that was left over is none.
        let adopted = Slots::adopt(slots.words().into(), records(&slots).skip(1).chain([(1, Away::default())]));
        assert_eq!((adopted.words()[0], adopted.away().len()), (7, 2));
        assert_eq!(&adopted.words()[1..], &slots.words()[1..]);
    }

    #[test]
    fn what_is_away_comes_home_early_when_there_is_no_room() {
        let mut slots = Slots::new((0..10).map(|_| 1));
        slots.retarget(5, |slot| if slot < 3 { 2 } else { 1 });
        slots.retarget(6, |slot| if slot < 5 { 2 } else { 1 });
        assert_eq!(slots.settles_at(SETTLE_S), Some(105));
        assert_eq!((slots.settle_early(4), slots.settle_early(5), slots.away().len()), (0, 3, 2));
        assert_eq!(slots.words()[..3], [2, 2, 2]);
        assert_eq!(slots.settles_at(SETTLE_S), Some(106));
    }
}
