//! From VIPs to services: which address and port leads to which service, what each does, and the way back of translated packets.

use alloc::{collections::BTreeMap, sync::Arc, vec, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use abi::{
    Address, MODE_DSR, MODE_ECHO, MODE_NAT_GATEWAY, MODE_NAT_POOL, MODE_TERMINATE, NO_SERVICE, Origin, OriginKey, PoolAddress, PortKey,
    PortRange, Service, VIA_GUE, VIA_IPIP, VIA_L2, limits, protocols, service_flags,
};
use config::{HashBy, Name, OnDown, Origins, Ports, Snapshot, Transport, Via, Vip, VipMode};
use hashbrown::HashMap;

use crate::identity::Identity;
use crate::plan::{Plan, PlanFault, Wishes};
use crate::tables::Family;

/// The service of echo requests to addresses of which something lives, and the one of all others.
const ECHO: [&str; 2] = ["up", "down"];

/// The families that a VIP needs tables of; none when it is terminated.
pub(crate) fn families(vip: &Vip) -> Vec<Family> {
    match &vip.mode {
        VipMode::Dsr { .. } => vec![Family::Any],
        VipMode::Nat { .. } => {
            let of = |family| vip.addresses.iter().any(|address| Family::of(*address) == family);
            [Family::V4, Family::V6].into_iter().filter(|family| of(*family)).collect()
        }
        VipMode::Terminate(_) => Vec::new(),
    }
}

/// Everything that needs a service's number.
pub(crate) fn identities(snapshot: &Snapshot) -> Vec<Identity> {
    let echo = ECHO.iter().map(|which| Identity::of(&["echo", which]));
    let vips =
        snapshot.vips.values().flat_map(|vip| families_of_addresses(vip).into_iter().map(|family| Identity::of_service(&vip.name, family)));
    if snapshot.vips.is_empty() { Vec::new() } else { echo.chain(vips).collect() }
}

fn families_of_addresses(vip: &Vip) -> Vec<Family> {
    let mut families: Vec<Family> = vip.addresses.iter().map(|address| Family::of(*address)).collect();
    families.sort_unstable();
    families.dedup();
    families
}

/// Writes services, ports, addresses, pools and origins into a plan that has its numbers and tables.
pub(crate) fn place(plan: &mut Plan, before: &Plan, wishes: Wishes<'_>) -> Result<(), PlanFault> {
    let snapshot = wishes.snapshot;
    let pools = place_pools(plan, snapshot)?;
    plan.services = BTreeMap::new();
    plan.ports = HashMap::new();
    plan.addresses = HashMap::new();
    let mut origins = HashMap::new();
    for vip in snapshot.vips.values() {
        for family in families_of_addresses(vip) {
            let number = plan.numbers.services.of(Identity::of_service(&vip.name, family));
            let service = service(plan, snapshot, vip, family, &pools);
            plan.services.insert(number, service);
            plan.service_names.insert(number, alloc::format!("{}/{}", vip.name, family.name()).into());
            for address in vip.addresses.iter().filter(|address| Family::of(**address) == family) {
                place_ports(plan, vip, *address, number);
                place_origins(&mut origins, snapshot, vip, *address, number);
            }
        }
    }
    place_echo(plan, snapshot);
    place_portless(plan);
    plan.origins = keep_origins(origins, before, wishes);
    let limit = |what, count: usize, limit: u32| if count > limit as usize { Err(PlanFault::TooMany { what, limit }) } else { Ok(()) };
    limit("exact ports of VIPs", plan.ports.len(), limits::PORTS)?;
    limit("addresses of VIPs", plan.addresses.len(), limits::ADDRESSES)?;
    limit("ports of origins", plan.origins.len(), limits::ORIGINS)
}

fn service(plan: &Plan, snapshot: &Snapshot, vip: &Vip, family: Family, pools: &Pools) -> Service {
    let table = |family| {
        let cluster = vip.mode.cluster().and_then(|slot| snapshot.cluster(slot));
        cluster.map_or(0, |cluster| plan.numbers.tables.of(Identity::of_table(cluster, family)))
    };
    let flag = |holds: bool, bit: u32| if holds { bit } else { 0 };
    let flags = flag(vip.hash == HashBy::Source, service_flags::HASH_SOURCE) | flag(vip.on_down == OnDown::Reset, service_flags::RESET);
    let session_s = vip.session.map_or(0, |session| u32::try_from(session.as_secs().max(1)).unwrap_or(u32::MAX));
    let service = Service { flags, session_s, ..Service::default() };
    match &vip.mode {
        VipMode::Dsr { via, origins, .. } => {
            let via = match via {
                Via::L2 => VIA_L2,
                Via::Ipip => VIA_IPIP,
                Via::Gue => VIA_GUE,
            };
            let flags = flags | flag(*origins == Origins::Sluice, service_flags::CHAIN);
            Service { mode: MODE_DSR, via, flags, table: table(Family::Any), ..service }
        }
        VipMode::Nat { pool: None, .. } => Service { mode: MODE_NAT_GATEWAY, table: table(family), ..service },
        VipMode::Nat { pool: Some(pool), .. } => {
            let (pool_first, pool_count) = pools.get(&(pool.clone(), family)).copied().unwrap_or_default();
            Service { mode: MODE_NAT_POOL, table: table(family), pool_first, pool_count, ..service }
        }
        VipMode::Terminate(_) => {
            Service { mode: MODE_TERMINATE, flags: flags | flag(snapshot.l4.cookies.is_some(), service_flags::COOKIES), ..service }
        }
    }
}

/// Where a pool's addresses of a family stand in `POOL`: the first, and how many.
type Pools = HashMap<(Name, Family), (u32, u32)>;

fn place_pools(plan: &mut Plan, snapshot: &Snapshot) -> Result<Pools, PlanFault> {
    let mut pools = Pools::new();
    plan.pool = Vec::new();
    for (name, pool) in &snapshot.l4.pools {
        for family in [Family::V4, Family::V6] {
            let first = plan.pool.len();
            let addresses = pool.addresses.iter().filter(|address| Family::of(**address) == family);
            let addresses = addresses.map(|one| PoolAddress { address: Address::from(*one), port_first: pool.first, port_last: pool.last });
            plan.pool.extend(addresses);
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            pools.insert((name.clone(), family), (number(first), number(plan.pool.len() - first)));
        }
    }
    let limit = limits::POOL_ADDRESSES;
    if plan.pool.len() > limit as usize { Err(PlanFault::TooMany { what: "addresses of pools", limit }) } else { Ok(pools) }
}

fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => protocols::TCP,
        Transport::Udp => protocols::UDP,
    }
}

/// One port is an entry of its own; more are a range of the address.
fn place_ports(plan: &mut Plan, vip: &Vip, ip: IpAddr, service: u32) {
    for ports in &vip.ports {
        let protocol = protocol(ports.transport);
        let entry = plan.addresses.entry(PortKey::new(Address::from(ip), protocol, 0)).or_default();
        if ports.first == ports.last {
            plan.ports.insert(PortKey::new(Address::from(ip), protocol, ports.first), service);
        } else if let Some(range) = entry.ranges.get_mut(entry.count as usize) {
            *range = PortRange { first: ports.first, last: ports.last, service };
            entry.count += 1;
        }
    }
}

/// Packets without ports can be told whose they are where there is no choice and the ports do not count.
fn place_portless(plan: &mut Plan) {
    let mut by_address: HashMap<PortKey, Option<u32>> = HashMap::new();
    let ranges =
        plan.addresses.iter().flat_map(|(key, ports)| ports.ranges[..ports.count as usize].iter().map(|range| (*key, range.service)));
    let exact = plan.ports.iter().map(|(key, service)| (PortKey { port: 0, ..*key }, *service));
    for (key, service) in ranges.chain(exact) {
        by_address.entry(key).and_modify(|only| *only = only.filter(|only| *only == service)).or_insert(Some(service));
    }
    for (key, service) in by_address {
        let hashes_source =
            |service: &u32| plan.services.get(service).is_some_and(|service| service.flags & service_flags::HASH_SOURCE != 0);
        if let (Some(ports), Some(service)) = (plan.addresses.get_mut(&key), service.filter(hashes_source)) {
            ports.portless = service;
        }
    }
}

/// An address answers echo requests while anything behind it lives; the stack answers where anything of it is terminated.
fn place_echo(plan: &mut Plan, snapshot: &Snapshot) {
    if snapshot.vips.is_empty() {
        return;
    }
    let [up, down] = ECHO.map(|which| plan.numbers.services.of(Identity::of(&["echo", which])));
    for (number, flags, name) in [(up, service_flags::LIVES, "echo/up"), (down, 0, "echo/down")] {
        plan.services.insert(number, Service { mode: MODE_ECHO, flags, ..Service::default() });
        plan.service_names.insert(number, Arc::from(name));
    }
    // By address: whether anything lives; `None` where the stack answers.
    let mut answers: BTreeMap<IpAddr, Option<bool>> = BTreeMap::new();
    for vip in snapshot.vips.values() {
        for ip in &vip.addresses {
            let service = plan.services.get(&plan.numbers.services.of(Identity::of_service(&vip.name, Family::of(*ip))));
            let lives = service
                .filter(|service| service.mode != MODE_TERMINATE)
                .map(|service| plan.tables.get(&service.table).is_some_and(crate::tables::Table::lives));
            answers.entry(*ip).and_modify(|all| *all = all.zip(lives).map(|(one, other)| one || other)).or_insert(lives);
        }
    }
    for (ip, lives) in answers {
        let protocol = if ip.is_ipv4() { protocols::ICMP } else { protocols::ICMPV6 };
        let portless = lives.map_or(NO_SERVICE, |lives| if lives { up } else { down });
        plan.addresses.insert(PortKey::new(Address::from(ip), protocol, 0), abi::Ports { portless, ..abi::Ports::default() });
    }
}

/// With `snat: none` an origin's answers are known by its address and port.
fn place_origins(origins: &mut HashMap<OriginKey, Origin>, snapshot: &Snapshot, vip: &Vip, ip: IpAddr, service: u32) {
    let VipMode::Nat { pool: None, to } = &vip.mode else { return };
    let endpoints = snapshot.cluster(*to).into_iter().flat_map(|cluster| &cluster.endpoints);
    for origin in endpoints.filter_map(|endpoint| Family::of(ip).address_of(endpoint)) {
        vip.ports.iter().for_each(|ports| place_origin(origins, origin, *ports, (ip, service)));
    }
}

fn place_origin(origins: &mut HashMap<OriginKey, Origin>, origin: SocketAddr, ports: Ports, (vip, service): (IpAddr, u32)) {
    // An origin's own port is another than the VIP's, which its answers then need; else they keep theirs.
    let (from, back) = if origin.port() == 0 { (ports.first..=ports.last, 0) } else { (origin.port()..=origin.port(), ports.first) };
    for port in from {
        let key = OriginKey { address: Address::from(origin.ip()), port: port.to_be(), protocol: protocol(ports.transport), padding: 0 };
        origins.insert(key, Origin { vip: Address::from(vip), port: back.to_be(), padding: 0, service });
    }
}

/// Origins that left are remembered as long as slots are: their established flows go on.
fn keep_origins(wanted: HashMap<OriginKey, Origin>, before: &Plan, wishes: Wishes<'_>) -> HashMap<OriginKey, (Origin, Option<u32>)> {
    let settle_s = u32::try_from(wishes.snapshot.l4.settle.as_secs()).unwrap_or(u32::MAX);
    let mut origins: HashMap<_, _> = wanted.into_iter().map(|(key, origin)| (key, (origin, None))).collect();
    for (key, (origin, gone_s)) in &before.origins {
        let gone_s = gone_s.unwrap_or(wishes.now_s);
        let is_served = wishes.snapshot.vips.values().any(|vip| vip.addresses.iter().any(|ip| Address::from(*ip) == origin.vip));
        if !origins.contains_key(key) && is_served && wishes.now_s.saturating_sub(gone_s) < settle_s {
            origins.insert(*key, (*origin, Some(gone_s)));
        }
    }
    origins
}
