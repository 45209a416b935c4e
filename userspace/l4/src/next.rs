//! The plan after another: numbers first, then backends and tables, and what leads to them.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use core::net::IpAddr;

use abi::{Address, Backend, Settings, backend_flags, limits};
use config::{Cluster, ClusterSlot, Snapshot, State};

use crate::TableSize;
use crate::hops::Hop;
use crate::identity::Identity;
use crate::plan::{Plan, PlanFault, Wishes, address_of};
use crate::services;
use crate::tables::{Family, Table, TableMember, Wanted, members_of};

impl Plan {
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

    fn number_all(&mut self, snapshot: &Snapshot, tables: &BTreeMap<(ClusterSlot, Family), Arc<Cluster>>) -> Result<(), PlanFault> {
        let too_many = |what, limit: u32| PlanFault::TooMany { what, limit: limit - 1 };
        let backends: Vec<Identity> =
            clusters(tables).flat_map(|cluster| cluster.endpoints.iter().map(|endpoint| Identity::of_backend(cluster, endpoint))).collect();
        self.numbers.backends.assign(backends.iter().copied()).ok_or_else(|| too_many("backends", limits::BACKENDS))?;
        let identities = tables.iter().map(|((_, family), cluster)| Identity::of_table(cluster, *family));
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
                let number = self.numbers.backends.of(Identity::of_backend(cluster, endpoint));
                let is_down = !(wishes.is_up)(cluster, endpoint);
                let flags = if is_down { backend_flags::DOWN } else { 0 }
                    | if endpoint.state == State::Drained { backend_flags::DRAINING } else { 0 };
                let backend = Backend {
                    address: Address::from(address.ip()),
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
                let number = self.numbers.tables.of(Identity::of_table(cluster, *family));
                let members = members_of(cluster, *family, |endpoint| {
                    TableMember::new(endpoint, backends.of(Identity::of_backend(cluster, endpoint)), (wishes.is_up)(cluster, endpoint))
                });
                let wanted = Wanted { size, seed: u64::from(l4.hash_seed), members: &members };
                (number, Table::next(before.table_of(number, Identity::of_table(cluster, *family)), wanted, wishes.now_s, settle_s))
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

fn settings(wishes: Wishes<'_>) -> Settings {
    let (l4, machine) = (&wishes.snapshot.l4, wishes.machine);
    let pools = l4.pools.values();
    let idle_s = |idle: Option<core::time::Duration>| u32::try_from(idle.map_or(0, |idle| idle.as_secs())).unwrap_or(u32::MAX);
    Settings {
        layout: abi::LAYOUT,
        slots: l4.table_size,
        hash_seed: l4.hash_seed,
        cpus: machine.cpus.max(1),
        source_v4: l4.source_v4.or(machine.source_v4).map(|address| IpAddr::from(address).into()).unwrap_or_default(),
        source_v6: l4.source_v6.or(machine.source_v6).map(|address| IpAddr::from(address).into()).unwrap_or_default(),
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
