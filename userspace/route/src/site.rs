//! One site: its rules in file order, and the index that makes finding the first match cheap.
//!
//! A path has one exact entry, one prefix entry per segment boundary, and the rules without a path. Each entry lists
//! its rules by place in the file; the smallest place whose methods match wins. Rules that an earlier rule of the same
//! path hides are left out, so a list is never longer than there are methods.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::{HostPattern, MethodSet, PathPattern};

/// What a site is built from.
#[derive(Clone, Debug)]
pub struct Site<T> {
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Its rules; the first that matches wins.
    pub rules: Vec<Rule<T>>,
}

/// One rule of a site.
#[derive(Clone, Debug)]
pub struct Rule<T> {
    /// What the path has to be.
    pub path: PathPattern,
    /// What the method has to be.
    pub methods: MethodSet,
    /// What is found.
    pub value: T,
}

/// One rule in a list of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    place: u32,
    methods: MethodSet,
}

type Candidates = Vec<Candidate>;

/// A site's rules, indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteIndex<T> {
    values: Vec<T>,
    exact: HashMap<Box<[u8]>, Candidates>,
    prefix: HashMap<Box<[u8]>, Candidates>,
    any_path: Candidates,
    /// Slashes in the longest prefix: how many boundaries of a path are worth looking up.
    prefix_depth_max: usize,
}

impl<T> SiteIndex<T> {
    pub(crate) fn build(rules: Vec<Rule<T>>) -> Self {
        let mut index = Self {
            values: Vec::with_capacity(rules.len()),
            exact: HashMap::new(),
            prefix: HashMap::new(),
            any_path: Candidates::new(),
            prefix_depth_max: 0,
        };
        for (place, rule) in (0..).zip(rules) {
            index.values.push(rule.value);
            let candidates = match rule.path {
                PathPattern::Any => &mut index.any_path,
                PathPattern::Exact(path) => index.exact.entry(path).or_default(),
                PathPattern::Prefix(path) => {
                    index.prefix_depth_max = index.prefix_depth_max.max(slashes(&path) + 1);
                    index.prefix.entry(path).or_default()
                }
            };
            add(candidates, Candidate { place, methods: rule.methods });
        }
        index
    }

    /// The first rule in file order that matches.
    pub(crate) fn find(&self, path: &[u8], method: &[u8]) -> Option<&T> {
        let place = self.find_counted(path, method).0?;
        self.values.get(place as usize)
    }

    /// The place of the first match, and how many rules were looked at to find it.
    fn find_counted(&self, path: &[u8], method: &[u8]) -> (Option<u32>, usize) {
        let mut search = Search { method, best: None, visited: 0 };
        search.among(&self.any_path);
        if let Some(candidates) = self.exact.get(path) {
            search.among(candidates);
        }
        if self.prefix_depth_max > 0 {
            let boundaries = (0..path.len()).filter(|at| path[*at] == b'/');
            // The end of the path is a boundary too: /api/* means /api. A path that is empty has none.
            let end = (!path.is_empty()).then_some(path.len());
            for boundary in boundaries.chain(end).take(self.prefix_depth_max) {
                if let Some(candidates) = self.prefix.get(&path[..boundary]) {
                    search.among(candidates);
                }
            }
        }
        (search.best, search.visited)
    }
}

/// A walk over lists of candidates for the smallest place whose methods match.
struct Search<'a> {
    method: &'a [u8],
    best: Option<u32>,
    visited: usize,
}

impl Search<'_> {
    fn among(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            if self.best.is_some_and(|best| best < candidate.place) {
                return;
            }
            self.visited += 1;
            if candidate.methods.contains(self.method) {
                self.best = Some(candidate.place);
                return;
            }
        }
    }
}

/// Adds a rule unless the earlier ones of the same path leave it no method.
fn add(candidates: &mut Candidates, candidate: Candidate) {
    let mut taken = MethodSet::default();
    for earlier in &*candidates {
        taken.extend(&earlier.methods);
    }
    if !taken.covers(&candidate.methods) {
        candidates.push(candidate);
    }
}

fn slashes(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').count() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn rule(path: &str, methods: MethodSet, value: usize) -> Rule<usize> {
        Rule { path: PathPattern::parse(path).expect("a good pattern"), methods, value }
    }

    #[test]
    fn the_work_does_not_grow_with_the_rules() {
        let most_visited = |count: usize| {
            let rules = (0..count).map(|at| rule(&format!("/service-{at}/*"), MethodSet::any(), at)).collect();
            let index = SiteIndex::build(rules);
            let visits = (0..count).map(|at| {
                let path = format!("/service-{at}/a/b/c");
                let (place, visited) = index.find_counted(path.as_bytes(), b"GET");
                assert_eq!(place.map(|place| place as usize), Some(at), "{path}");
                visited
            });
            visits.max()
        };
        assert_eq!(most_visited(5), Some(1));
        assert_eq!(most_visited(5_000), Some(1));
    }

    #[test]
    fn rules_that_cannot_match_are_not_looked_at() {
        let hidden = (0..5_000).map(|at| rule("/a", MethodSet::of([b"GET".as_slice()]), at));
        let last = rule("/a", MethodSet::any(), 5_000);
        let index = SiteIndex::build(hidden.chain([last]).collect());
        assert_eq!(index.find_counted(b"/a", b"POST"), (Some(5_000), 2));
        assert_eq!(index.find_counted(b"/a", b"GET"), (Some(0), 1));
    }

    #[test]
    fn a_path_of_slashes_is_looked_up_no_deeper_than_the_prefixes_are() {
        let index = SiteIndex::build([rule("/a/*", MethodSet::any(), 0)].into());
        let path = std::vec![b'/'; 60_000];
        assert_eq!(index.prefix_depth_max, 2);
        assert_eq!(index.find_counted(&path, b"GET"), (None, 0));
    }
}
