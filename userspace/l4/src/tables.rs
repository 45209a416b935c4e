//! A cluster's table: its members' Maglev, who of them is usable, and the slots that come of it.

use alloc::{string::String, string::ToString, sync::Arc, vec::Vec};

use abi::NO_BACKEND;
use config::{Cluster, Endpoint, State};
use core::net::IpAddr;
use model::Address;

use crate::{Maglev, Member, Slots, TableSize};

/// Which members of a cluster are in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    /// All of them: envelopes carry either family.
    Any,
    /// Those with IPv4 addresses: translation keeps the family.
    V4,
    /// Those with IPv6 addresses.
    V6,
}

impl Family {
    /// That of an address.
    pub(crate) const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Its part of names.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    /// The endpoint's address, when it is of the family.
    pub(crate) fn address_of(self, endpoint: &Endpoint) -> Option<core::net::SocketAddr> {
        match &endpoint.address {
            Address::Tcp(address) if self == Self::Any || self == Self::of(address.ip()) => Some(*address),
            Address::Tcp(_) | Address::Unix(_) => None,
        }
    }
}

/// One table, with all that the next needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) slots: Arc<Slots>,
    /// What the table was made of; `None` when another process made it.
    made_of: Option<Arc<MadeOf>>,
}

#[derive(Debug, PartialEq, Eq)]
struct MadeOf {
    size: TableSize,
    seed: u64,
    members: Vec<TableMember>,
    maglev: Maglev,
}

/// A member as its table sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableMember {
    /// The same on every node: its address as text.
    name: String,
    weight: u32,
    /// Its backend's number.
    backend: u32,
    /// Whether new connections may go to it.
    is_usable: bool,
}

/// What a table is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) size: TableSize,
    pub(crate) seed: u64,
    pub(crate) members: &'a [TableMember],
}

impl TableMember {
    /// An endpoint as a member: drained and dead ones keep their slots, for when they are back, and get no connections.
    pub(crate) fn new(endpoint: &Endpoint, backend: u32, is_up: bool) -> Self {
        let is_usable = is_up && endpoint.state == State::Active;
        Self { name: endpoint.address.to_string(), weight: endpoint.table_weight, backend, is_usable }
    }
}

/// The endpoints of a family with what `member` makes of them.
pub(crate) fn members_of(cluster: &Cluster, family: Family, member: impl Fn(&Endpoint) -> TableMember) -> Vec<TableMember> {
    cluster.endpoints.iter().filter(|endpoint| family.address_of(endpoint).is_some()).map(|endpoint| member(endpoint)).collect()
}

impl Table {
    /// As another process left it.
    pub(crate) fn adopt(slots: Slots) -> Self {
        Self { slots: Arc::new(slots), made_of: None }
    }

    /// The table after this one, settled and retargeted; a table of another size begins anew.
    pub(crate) fn next(before: Option<&Self>, wanted: Wanted<'_>, now_s: u32, settle_s: u32) -> Self {
        let before = before.filter(|before| before.slots.len() == wanted.size.slots());
        let made = before.and_then(|before| before.made_of.clone());
        let is_same = made.as_ref().is_some_and(|made| made.is(wanted) && made.members == wanted.members);
        let made = match made.filter(|_| is_same) {
            Some(made) => made,
            None => Arc::new(MadeOf::new(before.and_then(|before| before.made_of.as_deref()), wanted)),
        };
        let slots = match before {
            Some(before) if is_same && before.slots.settles_at(settle_s).is_none_or(|at| at > now_s) => before.slots.clone(),
            Some(before) => {
                let mut slots = (*before.slots).clone();
                slots.settle(now_s, settle_s);
                if !is_same {
                    slots.retarget(now_s, |slot| made.owner(slot));
                }
                Arc::new(slots)
            }
            None => Arc::new(Slots::new((0..wanted.size.slots()).map(|slot| made.owner(slot)))),
        };
        Self { slots, made_of: Some(made) }
    }

    /// Whether anybody takes new connections.
    pub(crate) fn lives(&self) -> bool {
        self.made_of.as_ref().is_some_and(|made| made.members.iter().any(|member| member.is_usable))
    }
}

impl MadeOf {
    fn new(before: Option<&Self>, wanted: Wanted<'_>) -> Self {
        let names = |member: &TableMember| (member.name.clone(), member.weight);
        let is_same_table = |before: &&Self| before.is(wanted) && before.members.iter().map(names).eq(wanted.members.iter().map(names));
        let maglev = before.filter(is_same_table).map_or_else(
            || {
                let members: Vec<Member<'_>> =
                    wanted.members.iter().map(|member| Member { name: member.name.as_bytes(), weight: member.weight }).collect();
                Maglev::new(wanted.size, wanted.seed, &members)
            },
            |before| before.maglev.clone(),
        );
        Self { size: wanted.size, seed: wanted.seed, members: wanted.members.to_vec(), maglev }
    }

    fn is(&self, wanted: Wanted<'_>) -> bool {
        (self.size, self.seed) == (wanted.size, wanted.seed)
    }

    /// Who takes the slot's new connections.
    fn owner(&self, slot: u32) -> u32 {
        let first = self.maglev.first(slot, |place| self.members.get(place as usize).is_some_and(|member| member.is_usable));
        first.and_then(|place| self.members.get(place as usize)).map_or(NO_BACKEND, |member| member.backend)
    }
}
