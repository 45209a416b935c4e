//! The plan: everything that the kernel's maps must hold, as data.
//!
//! `next` makes a plan of the one before it and of what is wanted now; it is pure, and [`crate::diff`] says what has to be written. What a
//! plan remembers (slots that are away, numbers given out) stands in the maps as well, so that a later process goes on from them.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::{Away, AwayKey, Backend, Mac, Origin, OriginKey, PoolAddress, PortKey, Ports, Service, Settings, Slot, backend_flags, limits};
use config::{Cluster, Endpoint, Snapshot};
use hashbrown::HashMap;
use model::Address;

use crate::Slots;
use crate::hops::Hop;
use crate::identity::Identity;
use crate::numbers::Numbers;
use crate::probes::Target;
use crate::tables::{Family, Table};

/// What the kernel's maps must hold.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `SETTINGS`.
    pub settings: Settings,
    /// `SERVICES`, by number.
    pub services: BTreeMap<u32, Service>,
    /// `PORTS`.
    pub ports: HashMap<PortKey, u32>,
    /// `ADDRESSES`.
    pub addresses: HashMap<PortKey, Ports>,
    /// `BACKENDS`, by number; those that are gone are kept until their number is used again.
    pub backends: BTreeMap<u32, Backend>,
    /// `ORIGINS`, and since when (seconds since boot) nobody wants the entry any more: established flows still do.
    pub origins: HashMap<OriginKey, (Origin, Option<u32>)>,
    /// `POOL`, by number.
    pub pool: Vec<PoolAddress>,
    /// Slots that went home before they had settled, since the process began: there were too many away.
    pub settled_early: u64,
    pub(crate) tables: BTreeMap<u32, Table>,
    pub(crate) numbers: AllNumbers,
    /// What the numbers of services are, for people.
    pub service_names: BTreeMap<u32, Arc<str>>,
    /// What the numbers of backends are: cluster and address.
    pub backend_names: BTreeMap<u32, (Arc<str>, Arc<str>)>,
}

/// Whose number is which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllNumbers {
    pub(crate) backends: Numbers,
    pub(crate) tables: Numbers,
    pub(crate) services: Numbers,
}

/// What a process found in the maps of an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// `SETTINGS`.
    pub settings: Settings,
    /// `IDENTITIES`.
    pub identities: Vec<(Kind, u32, Identity)>,
    /// `SERVICES` that are not all zero, by number.
    pub services: BTreeMap<u32, Service>,
    /// `PORTS`.
    pub ports: HashMap<PortKey, u32>,
    /// `ADDRESSES`.
    pub addresses: HashMap<PortKey, Ports>,
    /// `BACKENDS` that are not all zero, by number.
    pub backends: BTreeMap<u32, Backend>,
    /// `ORIGINS`.
    pub origins: HashMap<OriginKey, Origin>,
    /// `POOL` up to the last that is not all zero.
    pub pool: Vec<PoolAddress>,
    /// `TABLES`, by number.
    pub tables: BTreeMap<u32, Box<[Slot]>>,
    /// `AWAY`.
    pub away: Vec<(AwayKey, Away)>,
}

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A backend.
    Backend = 1,
    /// A table.
    Table = 2,
    /// A service.
    Service = 3,
}

/// What the plan has to know of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// CPUs that share the limits; at least 1.
    pub cpus: u32,
    /// Where IPv4 envelopes come from when the configuration does not say.
    pub source_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub source_v6: Option<Ipv6Addr>,
    /// The next hop of backends of which no other is known; zero has the kernel asked for each packet.
    pub gateway_mac: Mac,
    /// Bytes of the largest packet that the interfaces take; 0 is 1500.
    pub mtu: u16,
    /// The guard lists in force, as `Settings::guard`.
    pub guard: u32,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub struct Wishes<'a> {
    /// The configuration.
    pub snapshot: &'a Snapshot,
    /// Whether an endpoint of a cluster answers.
    pub is_up: &'a dyn Fn(&Cluster, &Endpoint) -> bool,
    /// The next hop to an address, where it is known.
    pub hop: &'a dyn Fn(IpAddr) -> Option<Hop>,
    /// The machine.
    pub machine: Machine,
    /// Seconds since boot.
    pub now_s: u32,
}

/// Why there is no plan. The one before stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// The kernel's maps are not that large.
    #[error("there are more than {limit} {what}, which the kernel's tables have room for")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u32,
    },
    /// No table has that many slots.
    #[error("no table has {0} slots")]
    TableSize(u32),
}

impl Default for Plan {
    /// Empty maps.
    fn default() -> Self {
        Self::adopt(Held::default())
    }
}

impl Plan {
    /// The plan that another process left in the maps.
    pub fn adopt(held: Held) -> Self {
        let numbers = |kind: Kind, max: u32| {
            let holders = held.identities.iter().filter(|(held, ..)| *held == kind).map(|(_, number, identity)| (*number, *identity));
            Numbers::adopt(max - 1, holders.collect())
        };
        let numbers = AllNumbers {
            backends: numbers(Kind::Backend, limits::BACKENDS),
            tables: numbers(Kind::Table, limits::TABLES),
            services: numbers(Kind::Service, limits::SERVICES),
        };
        let mut away: HashMap<u32, Vec<(u32, Away)>> = HashMap::new();
        held.away.into_iter().for_each(|(key, record)| away.entry(key.table).or_default().push((key.slot, record)));
        let tables = held.tables.into_iter().map(|(number, words)| {
            let records = away.remove(&number).unwrap_or_default();
            (number, Table::adopt(Slots::adopt(words, records.into_iter())))
        });
        Self {
            settings: held.settings,
            services: held.services,
            ports: held.ports,
            addresses: held.addresses,
            backends: held.backends,
            origins: held.origins.into_iter().map(|(key, origin)| (key, (origin, None))).collect(),
            pool: held.pool,
            settled_early: 0,
            tables: tables.collect(),
            numbers,
            service_names: BTreeMap::new(),
            backend_names: BTreeMap::new(),
        }
    }

    /// The slots of each table, by number.
    pub fn tables(&self) -> impl Iterator<Item = (u32, &Slots)> {
        self.tables.iter().map(|(number, table)| (*number, &*table.slots))
    }

    /// The numbers of the service and the backend that a probe's packet goes by and to.
    pub(crate) fn numbers_of(&self, target: &Target) -> Option<(u32, u32)> {
        let service = self.numbers.services.of(Identity::of_service(&target.vip, Family::of(target.address)));
        let backend = self.numbers.backends.of(Identity::of_backend_at(&target.cluster, &Address::Tcp(target.origin)));
        (service != 0 && backend != 0).then_some((service, backend))
    }

    /// Whether the maps say that an endpoint of a cluster is up; one that they do not know is.
    pub fn was_up(&self, cluster: &Cluster, endpoint: &Endpoint) -> bool {
        let number = self.numbers.backends.of(Identity::of_backend(cluster, endpoint));
        self.backends.get(&number).is_none_or(|backend| number == 0 || backend.flags & backend_flags::DOWN == 0)
    }

    /// The addresses of all backends that packets may still go to.
    pub fn backend_addresses(&self) -> Vec<IpAddr> {
        let live = self.backends.iter().filter(|(number, _)| **number != 0);
        let mut addresses: Vec<IpAddr> = live.filter_map(|(_, backend)| address_of(backend)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// When, in seconds since boot, the next plan will differ though nothing else changed.
    pub fn settles_at(&self, settle_s: u32) -> Option<u32> {
        let tables = self.tables.values().filter_map(|table| table.slots.settles_at(settle_s));
        let origins = self.origins.values().filter_map(|(_, gone_s)| Some(gone_s.as_ref()?.saturating_add(settle_s)));
        tables.chain(origins).min()
    }
}

/// The address that packets to a backend go to; none of a number that was never given out.
pub(crate) fn address_of(backend: &Backend) -> Option<IpAddr> {
    (!backend.address.is_none()).then(|| IpAddr::from(backend.address.bytes()).to_canonical())
}
