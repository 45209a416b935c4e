//! Sets of request methods. Methods compare with case, as RFC 9110 section 9.1 has it.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The methods that have a bit of their own; any other is kept by name.
const COMMON: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE"];

/// A set of request methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodSet {
    any: bool,
    common: u16,
    others: Box<[Box<[u8]>]>,
}

impl MethodSet {
    /// The set that holds every method, known or not.
    pub fn any() -> Self {
        Self { any: true, common: 0, others: Box::default() }
    }

    /// The set of exactly these methods.
    #[expect(single_use_lifetimes, reason = "an `impl Trait` argument cannot leave the lifetime out yet")]
    pub fn of<'a>(methods: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut common = 0;
        let mut others: Vec<Box<[u8]>> = Vec::new();
        for method in methods {
            match bit_of(method) {
                0 if others.iter().any(|other| **other == *method) => {}
                0 => others.push(method.into()),
                bit => common |= bit,
            }
        }
        Self { any: false, common, others: others.into() }
    }

    /// Whether `method` is in the set.
    pub fn contains(&self, method: &[u8]) -> bool {
        if self.any {
            return true;
        }
        match bit_of(method) {
            0 => self.others.iter().any(|other| **other == *method),
            bit => self.common & bit != 0,
        }
    }

    /// Whether this is the set of every method.
    pub fn is_any(&self) -> bool {
        self.any
    }

    /// Whether every method of `other` is in this set.
    pub fn covers(&self, other: &Self) -> bool {
        self.any || (!other.any && other.common & !self.common == 0 && other.others.iter().all(|method| self.others.contains(method)))
    }

    /// Adds every method of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.any |= other.any;
        self.common |= other.common;
        let added = other.others.iter().filter(|method| !self.others.contains(method));
        self.others = self.others.iter().chain(added).cloned().collect();
    }
}

fn bit_of(method: &[u8]) -> u16 {
    COMMON.iter().position(|known| *known == method).map_or(0, |place| 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_given() {
        let set = MethodSet::of([b"GET".as_slice(), b"PURGE", b"PURGE"]);
        for (method, expect) in [(b"GET".as_slice(), true), (b"get", false), (b"PURGE", true), (b"POST", false), (b"", false)] {
            assert_eq!(set.contains(method), expect, "{method:?}");
            assert!(MethodSet::any().contains(method), "{method:?}");
            assert!(!MethodSet::default().contains(method), "{method:?}");
        }
    }

    #[test]
    fn covering_is_being_a_superset() {
        let reads = MethodSet::of([b"GET".as_slice(), b"HEAD"]);
        let purge = MethodSet::of([b"PURGE".as_slice()]);
        let mut both = reads.clone();
        both.extend(&purge);
        assert!(both.covers(&reads) && both.covers(&purge) && MethodSet::any().covers(&both));
        assert!(!reads.covers(&both) && !purge.covers(&reads) && !both.covers(&MethodSet::any()));
    }
}
