//! Numbers of things in the kernel's arrays: the same thing keeps its number, and a number that was given up is used again as late as
//! can be, since pins and sessions may still hold it.

use alloc::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use crate::identity::Identity;

/// The numbers of one kind of thing: 1 to a maximum; 0 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    max: u32,
    /// Every number that anything has or had.
    holders: BTreeMap<u32, Identity>,
    by_identity: HashMap<Identity, u32>,
    /// Numbers whose things are gone, the longest ago first.
    released: VecDeque<u32>,
}

impl Numbers {
    /// Numbers up to `max`, of which some are held already: nobody knows by whom still.
    pub(crate) fn adopt(max: u32, holders: BTreeMap<u32, Identity>) -> Self {
        let by_identity = holders.iter().map(|(number, identity)| (*identity, *number)).collect();
        let released = holders.keys().copied().collect();
        Self { max, holders, by_identity, released }
    }

    /// Gives every one of these things a number, and releases all others. `None`: there are not that many.
    pub(crate) fn assign(&mut self, wanted: impl Iterator<Item = Identity> + Clone) -> Option<()> {
        let is_wanted: hashbrown::HashSet<Identity> = wanted.clone().collect();
        self.released.retain(|number| !self.holders.get(number).is_some_and(|holder| is_wanted.contains(holder)));
        let known: hashbrown::HashSet<u32> = self.released.iter().copied().collect();
        let gone = self.holders.iter().filter(|(number, holder)| !is_wanted.contains(*holder) && !known.contains(*number));
        self.released.extend(gone.map(|(number, _)| *number));
        wanted.into_iter().try_for_each(|identity| self.number_for(identity))
    }

    fn number_for(&mut self, identity: Identity) -> Option<()> {
        if self.by_identity.contains_key(&identity) {
            return Some(());
        }
        let unused = self.holders.last_key_value().map_or(1, |(last, _)| last + 1);
        let number = if unused <= self.max { unused } else { self.released.pop_front()? };
        if let Some(former) = self.holders.insert(number, identity) {
            self.by_identity.remove(&former);
        }
        self.by_identity.insert(identity, number);
        Some(())
    }

    /// The number of a thing; 0 when it has none.
    pub(crate) fn of(&self, identity: Identity) -> u32 {
        self.by_identity.get(&identity).copied().unwrap_or(0)
    }

    /// Every number that is or was given out, and to whom.
    pub(crate) fn holders(&self) -> &BTreeMap<u32, Identity> {
        &self.holders
    }

    /// Whether the number's thing is gone.
    pub(crate) fn is_released(&self, number: u32) -> bool {
        self.released.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn assign(numbers: &mut Numbers, wanted: &[u64]) -> Option<Vec<u32>> {
        numbers.assign(wanted.iter().map(|number| Identity(*number)))?;
        Some(wanted.iter().map(|number| numbers.of(Identity(*number))).collect())
    }

    #[test]
    fn numbers_stay_and_are_used_again_as_late_as_can_be() {
        let mut numbers = Numbers::adopt(4, BTreeMap::new());
        for (wanted, expect) in [
            (&[10, 20][..], Some([1, 2].to_vec())),
            (&[20, 30], Some([2, 3].to_vec())),
            (&[40, 30], Some([4, 3].to_vec())),
            // 10 left first, then 20.
            (&[50, 40, 30], Some([1, 4, 3].to_vec())),
            // Who comes back in time has its number still.
            (&[20, 50], Some([2, 1].to_vec())),
            (&[20, 50, 60, 70], Some([2, 1, 3, 4].to_vec())),
            (&[20, 50, 60, 70, 80], None),
        ] {
            assert_eq!(assign(&mut numbers, wanted), expect, "{wanted:?}");
        }
    }

    #[test]
    fn what_another_process_left_is_found_again() {
        let mut numbers = Numbers::adopt(4, [(2, Identity(20)), (3, Identity(30))].into());
        assert!(numbers.is_released(2) && numbers.is_released(3));
        assert_eq!(assign(&mut numbers, &[30, 40]), Some([3, 4].to_vec()));
        assert!(numbers.is_released(2) && !numbers.is_released(3));
        assert_eq!(numbers.of(Identity(99)), 0);
    }

    #[test]
    fn names_are_told_apart_by_their_parts() {
        assert_ne!(Identity::of(&["ab", "c"]), Identity::of(&["a", "bc"]));
        assert_ne!(Identity::of(&["a"]), Identity::of(&["a", ""]));
    }
}
