//! One cluster's endpoints on one worker, and the policy that chooses among them.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    Load, Pick,
    turns::Turns,
    weights::{Random, Weights},
};

/// How to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// In turn, each as often as its weight.
    #[default]
    RoundRobin,
    /// Of two drawn by weight, the one with fewer active requests for its weight.
    LeastRequest,
    /// Drawn by weight.
    Random,
}

/// Chooses among members known by a key `K`, the endpoint's address. Members are spoken of by their index in the order they were given.
#[derive(Debug)]
pub struct Balancer<K> {
    members: Vec<Member<K>>,
    choice: Choice,
}

#[derive(Debug)]
struct Member<K> {
    key: K,
    weight: u32,
    load: Load,
}

/// A policy with what it needs to remember.
#[derive(Debug)]
enum Choice {
    RoundRobin(Turns),
    LeastRequest(Weights),
    Random(Weights),
}

impl<K: Ord> Balancer<K> {
    /// Over `members`, keys with weights; a weight of 0 is never picked. `random` keeps workers from all beginning with the same member.
    pub fn new(policy: Policy, members: impl IntoIterator<Item = (K, u32)>, random: u64) -> Self {
        let mut balancer = Self { members: Vec::new(), choice: Choice::RoundRobin(Turns::default()) };
        balancer.rebuild(policy, members, random);
        balancer
    }

    /// Other members or another policy. Members that stay keep their load and, as far as it goes, their turn.
    pub fn rebuild(&mut self, policy: Policy, members: impl IntoIterator<Item = (K, u32)>, random: u64) {
        let old: BTreeMap<&K, usize> = self.members.iter().enumerate().map(|(index, member)| (&member.key, index)).collect();
        let (mut kept, mut new) = (Vec::new(), Vec::new());
        for (key, weight) in members {
            let index = old.get(&key).copied();
            let load = index.map(|index| self.members[index].load.clone()).unwrap_or_default();
            kept.push(index);
            new.push(Member { key, weight, load });
        }
        let weights: Vec<u32> = new.iter().map(|member| member.weight).collect();
        self.choice = match (policy, &self.choice) {
            (Policy::RoundRobin, Choice::RoundRobin(turns)) => Choice::RoundRobin(turns.rebuilt(&weights, random, |index| kept[index])),
            (Policy::RoundRobin, _) => Choice::RoundRobin(Turns::default().rebuilt(&weights, random, |_| None)),
            (Policy::LeastRequest, _) => Choice::LeastRequest(Weights::new(&weights)),
            (Policy::Random, _) => Choice::Random(Weights::new(&weights)),
        };
        self.members = new;
    }

    /// The next member that is `usable`, counted in its load until the pick is dropped; `None` when no member with a weight is.
    pub fn pick(&mut self, random: u64, usable: impl Fn(usize) -> bool) -> Option<Pick> {
        let members = &self.members;
        let mut random = Random(random);
        let index = match &mut self.choice {
            Choice::RoundRobin(turns) => turns.pick(usable),
            Choice::Random(weights) => weights.draw(&mut random, usable),
            Choice::LeastRequest(weights) => {
                let first = weights.draw(&mut random, &usable)?;
                let second = weights.draw(&mut random, &usable)?;
                Some(if members[second].per_weight_less(&members[first]) { second } else { first })
            }
        }?;
        Some(members[index].load.pick(index))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in order: key, weight, load.
    pub fn members(&self) -> impl Iterator<Item = (&K, u32, &Load)> {
        self.members.iter().map(|member| (&member.key, member.weight, &member.load))
    }
}

impl<K> Member<K> {
    /// Fewer active requests for its weight than `other`. Drawing is by weight already, so that idle members share by weight too; Envoy's scheduler
    /// for unequal weights costs O(log n) a pick and forgets the load between two turns of a member.
    fn per_weight_less(&self, other: &Self) -> bool {
        u64::from(self.load.active()) * u64::from(other.weight) < u64::from(other.load.active()) * u64::from(self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: [Policy; 3] = [Policy::RoundRobin, Policy::LeastRequest, Policy::Random];

    fn balancer(policy: Policy, weights: &[u32]) -> Balancer<usize> {
        Balancer::new(policy, weights.iter().copied().enumerate(), 0)
    }

    /// How often each was picked, every request ending before the next.
    fn shares(balancer: &mut Balancer<usize>, picks: u64, usable: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut counts = alloc::vec![0; balancer.len()];
        for at in 0..picks {
            counts[balancer.pick(at, &usable).unwrap().index()] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_weights_under_every_policy() {
        for policy in POLICIES {
            let counts = shares(&mut balancer(policy, &[1, 2, 0, 5]), 80_000, |_| true);
            for (count, expect) in counts.iter().zip([10_000, 20_000, 0, 50_000_u64]) {
                assert!(count.abs_diff(expect) <= if policy == Policy::RoundRobin { 0 } else { 700 }, "{policy:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn the_unusable_are_passed_over_and_the_rest_share_by_weight() {
        for policy in POLICIES {
            let mut balancer = balancer(policy, &[4, 1, 2, 1]);
            let counts = shares(&mut balancer, 60_000, |index| index != 0 && index != 3);
            assert_eq!((counts[0], counts[3]), (0, 0), "{policy:?}");
            assert!(counts[1].abs_diff(20_000) <= 700 && counts[2].abs_diff(40_000) <= 700, "{policy:?}: {counts:?}");
            assert!(balancer.pick(1, |_| false).is_none(), "{policy:?}");
            assert!(balancer.pick(1, |index| index == 3).is_some(), "{policy:?} recovers");
        }
    }

    #[test]
    fn without_members_nobody_is_picked() {
        for policy in POLICIES {
            for weights in [&[][..], &[0], &[0, 0]] {
                assert!(balancer(policy, weights).pick(1, |_| true).is_none(), "{policy:?} {weights:?}");
            }
        }
    }

    #[test]
    fn least_request_avoids_the_loaded() {
        let mut balancer = balancer(Policy::LeastRequest, &[1, 1, 2]);
        let held: Vec<Pick> = (0..400).map(|at| balancer.pick(at, |_| true).unwrap()).collect();
        let active: Vec<u32> = balancer.members().map(|(_, _, load)| load.active()).collect();
        assert_eq!(active.iter().sum::<u32>(), 400);
        assert!(active[0].abs_diff(100) < 6 && active[1].abs_diff(100) < 6 && active[2].abs_diff(200) < 9, "{active:?}");
        drop(held);
        assert!(balancer.members().all(|(_, _, load)| load.active() == 0));
    }

    #[test]
    fn loads_survive_a_rebuild_by_key() {
        let mut balancer = Balancer::new(Policy::RoundRobin, [("a", 1), ("b", 1), ("c", 1)], 0);
        let held: Vec<Pick> = (0..6).map(|at| balancer.pick(at, |_| true).unwrap()).collect();
        for policy in POLICIES {
            balancer.rebuild(policy, [("d", 1), ("c", 3), ("a", 1)], 0);
            let loads: Vec<_> = balancer.members().map(|(key, _, load)| (*key, load.active())).collect();
            assert_eq!(loads, [("d", 0), ("c", 2), ("a", 2)]);
        }
        drop(held);
        assert!(balancer.members().all(|(_, _, load)| load.active() == 0), "what was picked before the rebuild ends after it");
    }

    #[test]
    fn turns_survive_a_rebuild() {
        let mut balancer = Balancer::new(Policy::RoundRobin, [("a", 1), ("b", 1), ("c", 1)], 0);
        let next = |balancer: &mut Balancer<&'static str>| {
            let index = balancer.pick(0, |_| true).unwrap().index();
            *balancer.members().nth(index).unwrap().0
        };
        assert_eq!([next(&mut balancer), next(&mut balancer)], ["a", "b"]);
        // A rebuild for every pick, as under a stream of pushes: still everyone's turn comes.
        let after_a_push = |random| {
            balancer.rebuild(Policy::RoundRobin, [("a", 1), ("b", 1), ("c", 1), ("d", 1)], random);
            next(&mut balancer)
        };
        assert_eq!([0; 9].map(after_a_push), ["c", "a", "b", "c", "d", "a", "b", "c", "d"]);
    }
}
