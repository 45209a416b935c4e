//! Connections that go on unopened, chosen by what their TLS hello says. Found at the same cost for five names and five thousand.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use route::HostPattern;

use super::Targets;

/// Which hellos go where. The first rule that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passthrough {
    rules: Vec<PassthroughRule>,
    /// The places of rules, in order, by name as asked for.
    exact: BTreeMap<Box<str>, Vec<usize>>,
    /// By what such a name ends in, leading dot included.
    suffix: BTreeMap<Box<str>, Vec<usize>>,
    /// Of rules for every name, and for none.
    any: Vec<usize>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassthroughRule {
    /// Application protocols of which the client has to offer one; empty: whatever it offers.
    pub alpn: Vec<Box<[u8]>>,
    /// Where the connection goes.
    pub to: Targets,
}

impl Passthrough {
    /// Takes the next rule.
    pub(crate) fn push(&mut self, names: &[HostPattern], rule: PassthroughRule) {
        let place = self.rules.len();
        for name in names {
            match name {
                HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default().push(place),
                HostPattern::Suffix(suffix) => self.suffix.entry(suffix.clone()).or_default().push(place),
                HostPattern::Any => self.any.push(place),
            }
        }
        self.rules.push(rule);
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every rule, in order.
    pub fn rules(&self) -> &[PassthroughRule] {
        &self.rules
    }

    /// Where a hello goes that asks for `name` (in lower case) and offers these protocols; `None`: nowhere, it is the listener's own.
    pub fn find(&self, name: Option<&str>, alpn: &[Box<[u8]>]) -> Option<&Targets> {
        let exact = name.and_then(|name| self.exact.get(name));
        let dots = name.into_iter().flat_map(|name| name.match_indices('.').map(|(dot, _)| &name[dot..]));
        let suffixes = dots.filter_map(|suffix| self.suffix.get(suffix));
        let places = exact.into_iter().chain(suffixes).chain([&self.any]);
        let takes = |place: &&usize| {
            let rule = &self.rules[**place];
            rule.alpn.is_empty() || rule.alpn.iter().any(|wanted| alpn.contains(wanted))
        };
        let first = places.filter_map(|places| places.iter().find(takes)).min()?;
        Some(&self.rules[*first].to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{ClusterSlot, Target};

    #[test]
    fn the_first_rule_that_matches_wins() {
        let mut passthrough = Passthrough::default();
        for (index, (names, alpn)) in [
            (&["a.test", "*.b.test"][..], &["h2"][..]),
            (&["a.test", "*.c.b.test"], &[]),
            (&["*.test"], &["x", "y"]),
            (&["z.test"], &[]),
            (&["*"], &["any"]),
        ]
        .into_iter()
        .enumerate()
        {
            let names: Vec<HostPattern> = names.iter().map(|name| HostPattern::parse(name).unwrap()).collect();
            let slot = ClusterSlot { index: u32::try_from(index).unwrap(), birth: 0 };
            let alpn = alpn.iter().map(|alpn| alpn.as_bytes().into()).collect();
            passthrough.push(&names, PassthroughRule { alpn, to: Targets::new(vec![Target { slot, weight: 1 }]) });
        }
        for (name, alpn, expect) in [
            (Some("a.test"), &["h2"][..], Some(0)),
            (Some("a.test"), &[], Some(1)),
            (Some("d.c.b.test"), &["h2"], Some(0)),
            (Some("d.c.b.test"), &["y"], Some(1)),
            (Some("b.test"), &[], None),
            (Some("z.test"), &["http/1.1", "y"], Some(2)),
            (Some("z.test"), &["any"], Some(3)),
            (None, &["any"], Some(4)),
            (None, &[], None),
            (Some("other"), &["any"], Some(4)),
        ] {
            let alpn: Vec<Box<[u8]>> = alpn.iter().map(|alpn| alpn.as_bytes().into()).collect();
            let found = passthrough.find(name, &alpn).map(|to| to.targets()[0].slot.index);
            assert_eq!(found, expect, "{name:?} {alpn:?}");
        }
    }
}
