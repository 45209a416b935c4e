//! The plan: everything that the kernel's maps must hold, as data.
//!
//! `next` makes a plan of the one before it and of what is wanted now; it is pure, and [`crate::diff`] says what has to be written. What a
//! plan remembers (slots that are away, numbers given out) stands in the maps as well, so that a later process goes on from them.

use alloc::{boxed::Box, collections::BTreeMap, string::ToString, sync::Arc, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::{Away, AwayKey, Backend, Mac, Origin, OriginKey, PoolAddress, PortKey, Ports, Service, Settings, Slot, backend_flags, limits};
use config::{Cluster, ClusterSlot, Endpoint, Snapshot, State};
use hashbrown::HashMap;
use model::Address;

use crate::hops::Hop;
use crate::numbers::{Identity, Numbers};
use crate::probes::Target;
use crate::services;
use crate::tables::{Family, Table, TableMember, Wanted, members_of};
use crate::{Slots, TableSize};

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

    /// The plan after this one.
    pub fn next(&self, wishes: Wishes<'_>) -> Result<Self, PlanFault> {
        let size = TableSize::new(wishes.snapshot.l4.table_size).ok_or(PlanFault::TableSize(wishes.snapshot.l4.table_size))?;
        let tables_wanted = tables_wanted(wishes.snapshot);
        let mut next = Self { settings: settings(wishes), service_names: BTreeMap::new(), backend_names: BTreeMap::new(), ..self.clone() };
        next.number_all(wishes.snapshot, &tables_wanted)?;
        next.place_backends(wishes, &tables_wanted);
        next.fill_tables(self, wishes, &tables_wanted, size);
        next.make_room_away();
        services::place(&mut next, self, wishes)?;
        Ok(next)
    }

    /// The slots of each table, by number.
    pub fn tables(&self) -> impl Iterator<Item = (u32, &Slots)> {
        self.tables.iter().map(|(number, table)| (*number, &*table.slots))
    }

    /// The numbers of the service and the backend that a probe's packet goes by and to.
    pub(crate) fn numbers_of(&self, target: &Target) -> Option<(u32, u32)> {
        let service = self.numbers.services.of(services::identity(&target.vip, Family::of(target.address)));
        let backend = self.numbers.backends.of(identity_of_backend(&target.cluster, &Address::Tcp(target.origin)));
        (service != 0 && backend != 0).then_some((service, backend))
    }

    /// Whether the maps say that an endpoint of a cluster is up; one that they do not know is.
    pub fn was_up(&self, cluster: &Cluster, endpoint: &Endpoint) -> bool {
        let number = self.numbers.backends.of(backend_identity(cluster, endpoint));
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

    fn number_all(&mut self, snapshot: &Snapshot, tables: &BTreeMap<(ClusterSlot, Family), Arc<Cluster>>) -> Result<(), PlanFault> {
        let too_many = |what, limit: u32| PlanFault::TooMany { what, limit: limit - 1 };
        let backends: Vec<Identity> =
            clusters(tables).flat_map(|cluster| cluster.endpoints.iter().map(|endpoint| backend_identity(cluster, endpoint))).collect();
        self.numbers.backends.assign(backends.iter().copied()).ok_or_else(|| too_many("backends", limits::BACKENDS))?;
        let identities = tables.iter().map(|((_, family), cluster)| table_identity(cluster, *family));
        self.numbers.tables.assign(identities).ok_or_else(|| too_many("tables", limits::TABLES))?;
        let identities = services::identities(snapshot);
        self.numbers.services.assign(identities.into_iter()).ok_or_else(|| too_many("services", limits::SERVICES))
    }

    fn place_backends(&mut self, wishes: Wishes<'_>, tables: &BTreeMap<(ClusterSlot, Family), Arc<Cluster>>) {
        for (number, backend) in &mut self.backends {
            if self.numbers.backends.is_released(*number) {
                backend.flags |= backend_flags::DRAINING;
            }
        }
        for cluster in clusters(tables) {
            for endpoint in &cluster.endpoints {
                let Some(address) = Family::Any.address_of(endpoint) else { continue };
                let number = self.numbers.backends.of(backend_identity(cluster, endpoint));
                let is_down = !(wishes.is_up)(cluster, endpoint);
                let flags = if is_down { backend_flags::DOWN } else { 0 }
                    | if endpoint.state == State::Drained { backend_flags::DRAINING } else { 0 };
                let backend = Backend {
                    address: services::address(address.ip()),
                    port: address.port().to_be(),
                    mtu: wishes.machine.mtu,
                    flags,
                    ..Backend::default()
                };
                self.backends.insert(number, backend);
                self.backend_names.insert(number, (cluster.name.clone(), endpoint.name.clone()));
            }
        }
        self.place_hops(wishes);
    }

    /// Those that are gone too: flows that are kept may still go there.
    fn place_hops(&mut self, wishes: Wishes<'_>) {
        let unknown = Hop { mac: wishes.machine.gateway_mac, ..Hop::default() };
        for backend in self.backends.values_mut() {
            let hop = address_of(backend).and_then(wishes.hop).unwrap_or(unknown);
            (backend.mac, backend.source_mac, backend.interface) = (hop.mac, hop.source_mac, hop.interface);
        }
    }

    fn fill_tables(&mut self, before: &Self, wishes: Wishes<'_>, tables: &BTreeMap<(ClusterSlot, Family), Arc<Cluster>>, size: TableSize) {
        let l4 = &wishes.snapshot.l4;
        let settle_s = u32::try_from(l4.settle.as_secs()).unwrap_or(u32::MAX);
        let backends = &self.numbers.backends;
        self.tables = tables
            .iter()
            .map(|((_, family), cluster)| {
                let number = self.numbers.tables.of(table_identity(cluster, *family));
                let members = members_of(cluster, *family, |endpoint| {
                    TableMember::new(endpoint, backends.of(backend_identity(cluster, endpoint)), (wishes.is_up)(cluster, endpoint))
                });
                let wanted = Wanted { size, seed: u64::from(l4.hash_seed), members: &members };
                (number, Table::next(before.table_of(number, table_identity(cluster, *family)), wanted, wishes.now_s, settle_s))
            })
            .collect();
    }

    /// The table of this number, when it was the same cluster's.
    fn table_of(&self, number: u32, identity: Identity) -> Option<&Table> {
        self.tables.get(&number).filter(|_| self.numbers.tables.holders().get(&number) == Some(&identity))
    }

    /// The kernel has room for so many slots that are away: those that changed longest ago go home before their time.
    fn make_room_away(&mut self) {
        let count = |tables: &BTreeMap<u32, Table>| tables.values().map(|table| table.slots.away().len()).sum::<usize>();
        while count(&self.tables) > AWAY_MAX {
            let records = self.tables.values().flat_map(|table| table.slots.away().values());
            let Some(oldest_s) = records.map(|record| record.changed_s).min() else { return };
            for table in self.tables.values_mut() {
                self.settled_early += Arc::make_mut(&mut table.slots).settle_early(oldest_s) as u64;
            }
        }
    }
}

/// Slots that may be away at once, over all tables.
const AWAY_MAX: usize = limits::AWAY as usize;

/// Every table that some VIP forwards by, with its cluster.
fn tables_wanted(snapshot: &Snapshot) -> BTreeMap<(ClusterSlot, Family), Arc<Cluster>> {
    let wanted = snapshot.vips.values().flat_map(|vip| services::families(vip).into_iter().map(|family| (vip.mode.cluster(), family)));
    wanted.filter_map(|(slot, family)| Some(((slot?, family), snapshot.cluster(slot?)?.clone()))).collect()
}

/// Each cluster once.
fn clusters(tables: &BTreeMap<(ClusterSlot, Family), Arc<Cluster>>) -> impl Iterator<Item = &Arc<Cluster>> {
    let mut before = None;
    tables.iter().filter_map(move |((slot, _), cluster)| (before.replace(*slot) != Some(*slot)).then_some(cluster))
}

/// The address that packets to a backend go to; none of a number that was never given out.
fn address_of(backend: &Backend) -> Option<IpAddr> {
    (!backend.address.is_none()).then(|| IpAddr::from(backend.address.bytes()).to_canonical())
}

fn backend_identity(cluster: &Cluster, endpoint: &Endpoint) -> Identity {
    identity_of_backend(&cluster.name, &endpoint.address)
}

fn identity_of_backend(cluster: &str, address: &Address) -> Identity {
    Identity::of(&["backend", cluster, &address.to_string()])
}

pub(crate) fn table_identity(cluster: &Cluster, family: Family) -> Identity {
    Identity::of(&["table", &cluster.name, family.name()])
}

fn settings(wishes: Wishes<'_>) -> Settings {
    let (l4, machine) = (&wishes.snapshot.l4, wishes.machine);
    let pools = l4.pools.values();
    let idle_s = |idle: Option<core::time::Duration>| u32::try_from(idle.map_or(0, |idle| idle.as_secs())).unwrap_or(u32::MAX);
    Settings {
        layout: abi::LAYOUT,
        slots: l4.table_size,
        hash_seed: l4.hash_seed,
        cpus: machine.cpus.max(1),
        source_v4: l4.source_v4.or(machine.source_v4).map(|address| services::address(address.into())).unwrap_or_default(),
        source_v6: l4.source_v6.or(machine.source_v6).map(|address| services::address(address.into())).unwrap_or_default(),
        gateway_mac: machine.gateway_mac,
        padding: 0,
        pin_writes_per_s: l4.limits.pins,
        fragment_writes_per_s: l4.limits.fragments,
        nat_writes_per_s: l4.limits.nat_flows,
        echo_per_s: l4.limits.echo,
        icmp_errors_per_s: l4.limits.icmp_errors,
        guard: machine.guard,
        source_connections_per_s: l4.limits.source_connections.unwrap_or(0),
        source_packets_per_s: l4.limits.source_packets.unwrap_or(0),
        cookies_on_per_s: l4.cookies.map_or(0, |cookies| cookies.above),
        cookies_off_per_s: l4.cookies.map_or(0, |cookies| cookies.below),
        cookies_trickle_per_s: l4.cookies.map_or(0, |cookies| cookies.trickle),
        sample_one_in: l4.limits.sample_one_in,
        nat_tcp_idle_s: idle_s(pools.clone().map(|pool| pool.tcp_idle).max()),
        nat_udp_idle_s: idle_s(pools.map(|pool| pool.udp_idle).max()),
    }
}
