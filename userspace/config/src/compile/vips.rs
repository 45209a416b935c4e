//! VIPs: which address and port belongs to whom, and what is done with its packets.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use model::Address;

use super::{Compiler, share};
use crate::containers::Entry;
use crate::document::{self, Root, SESSION_MAX};
use crate::read::At;
use crate::snapshot::{Cluster, ClusterSlot, HealthKind, Listener, Name, Origins, Ports, ProbeBy, Transport, Via, Vip, VipMode};

/// Ranges of ports that one address and protocol can have: what the kernel's tables hold.
const RANGES_MAX: usize = 8;
/// Origins' ports over all VIPs whose answers are translated back: what the kernel's tables hold.
const ORIGINS_MAX: usize = 65_536;

/// Who has what so far, over all VIPs.
#[derive(Default)]
struct Claims {
    /// By address and protocol, from a range's first port to its last and its owner.
    ports: HashMap<(IpAddr, Transport), BTreeMap<u16, (u16, Name)>>,
    /// Origins whose answers are translated back, and for whom.
    origins: HashMap<(IpAddr, Transport, u16), Name>,
}

impl Compiler<'_> {
    pub(super) fn compile_vips(&mut self, root: &Root, listeners: &BTreeMap<Name, Arc<Listener>>) -> BTreeMap<Name, Arc<Vip>> {
        let mut claims = Claims::default();
        let mut vips = BTreeMap::new();
        for entry in &root.vips.entries {
            let Some(mode) = self.vip_mode(root, entry, listeners) else { continue };
            let vip = self.vip(entry, mode, &mut claims);
            self.check_mode(&vip, &entry.value, &mut claims);
            self.check_listener(&vip, &entry.value, listeners);
            let old = self.previous.and_then(|previous| previous.vips.get(&entry.key));
            vips.insert(entry.key.clone(), share(vip, old));
        }
        vips
    }

    fn vip_mode(&mut self, root: &Root, entry: &Entry<Name, document::Vip>, listeners: &BTreeMap<Name, Arc<Listener>>) -> Option<VipMode> {
        let vip = &entry.value;
        let modes = usize::from(vip.dsr.is_some()) + usize::from(vip.nat.is_some()) + usize::from(vip.terminate.is_some());
        if modes != 1 {
            if modes > 1 || !self.reader.has_any_key(entry.at, &["dsr", "nat", "terminate"]) {
                self.reader.reject_key(entry.at, "a VIP has exactly one of dsr, nat and terminate");
            }
            return None;
        }
        if let Some(listener) = &vip.terminate {
            if let Some(to) = &vip.to {
                self.reader.reject_key(to.at, "a VIP that is terminated goes to its listener; the listener says where to");
            }
            if !listeners.contains_key(&listener.value) && root.listeners.entries.iter().all(|entry| entry.key != listener.value) {
                self.reader.reject(listener.at, format_args!("there is no listener {:?}; it has to stand under listeners", listener.value));
            }
            return Some(VipMode::Terminate(listener.value.clone()));
        }
        let Some(to) = &vip.to else {
            if !self.reader.has_any_key(entry.at, &["to"]) {
                self.reader.missing_key(entry.at, "to");
            }
            return None;
        };
        let slot = self.slot_of(&root.clusters.refused, &to.value, to.at)?;
        self.check_endpoints(slot, to.at);
        match (&vip.dsr, &vip.nat) {
            (Some(dsr), _) => Some(self.dsr(dsr, slot)),
            (None, Some(nat)) => {
                let pool = nat.snat.0.clone();
                let known =
                    |pool: &Name| root.l4.pools.refused.contains(pool) || root.l4.pools.entries.iter().any(|entry| entry.key == *pool);
                if pool.as_ref().is_some_and(|pool| !known(pool)) {
                    self.reader.reject(nat.snat.at, "there is no such pool; it has to stand under l4.pools, or none is written here");
                }
                Some(VipMode::Nat { pool, to: slot })
            }
            (None, None) => None,
        }
    }

    fn dsr(&mut self, dsr: &document::Dsr, to: ClusterSlot) -> VipMode {
        let (via, origins) = (dsr.via, dsr.origins.value);
        if origins == Origins::Sluice {
            if via != Via::Gue {
                self.reader.reject(dsr.origins.at, "packets are passed on in gue envelopes only");
            }
            let families = self.addresses_of(to).map(|(address, _)| address.is_ipv4()).collect::<HashSet<_>>();
            if families.len() > 1 {
                self.reader.reject(dsr.origins.at, "origins pass on to origins of their own family only, and this cluster has both");
            }
        }
        VipMode::Dsr { via, origins, to }
    }

    fn vip(&mut self, entry: &Entry<Name, document::Vip>, mode: VipMode, claims: &mut Claims) -> Vip {
        let (name, vip) = (&entry.key, &entry.value);
        if self.reader.is_empty(vip.addresses.at) {
            self.reader.reject(vip.addresses.at, "a VIP needs at least one address");
        }
        if self.reader.is_empty(vip.ports.at) {
            self.reader.reject(vip.ports.at, "a VIP needs at least one port");
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in &*vip.addresses {
            if addresses.contains(&address.value) {
                self.reader.reject(address.at, format_args!("the address {} stands here twice", address.value));
            } else {
                addresses.push(address.value);
            }
        }
        for (at, ports) in vip.ports.iter().flat_map(|ports| ports.value.0.iter().map(|range| (ports.at, *range))) {
            for address in &addresses {
                self.claim_ports(claims, name, *address, (at, ports));
            }
        }
        Vip {
            name: name.clone(),
            addresses: addresses.into(),
            ports: vip.ports.iter().flat_map(|ports| ports.value.0.iter().copied()).collect(),
            mode,
            on_down: vip.on_down,
            session: vip.session.value.0,
            hash: vip.hash,
            probe: vip.probe,
        }
    }

    /// Notes ports that two VIPs, or one twice, want.
    fn claim_ports(&mut self, claims: &mut Claims, name: &Name, address: IpAddr, (at, ports): (At, Ports)) {
        let taken = claims.ports.entry((address, ports.transport)).or_default();
        if let Some((_, (last, owner))) = taken.range(..=ports.last).next_back()
            && *last >= ports.first
        {
            self.reader.reject(at, format_args!("{address} has these ports, or some of them, in {owner:?} already"));
            return;
        }
        taken.insert(ports.first, (ports.last, name.clone()));
        if taken.iter().filter(|(first, (last, _))| *first != last).count() == RANGES_MAX + 1 && ports.first != ports.last {
            self.reader.reject(at, format_args!("{address} has more than {RANGES_MAX} ranges of ports"));
        }
    }

    fn check_mode(&mut self, vip: &Vip, document: &document::Vip, claims: &mut Claims) {
        let has_udp = vip.ports.iter().any(|ports| ports.transport == Transport::Udp);
        let terminates = matches!(vip.mode, VipMode::Terminate(_));
        if terminates && has_udp {
            self.reader.reject(document.ports.at, "a listener takes TCP only");
        }
        if vip.session.is_some() && (terminates || !has_udp) {
            self.reader.reject(document.session.at, "sessions are for UDP that is forwarded; TCP does without");
        }
        if document.session.value.0 > SESSION_MAX.0 {
            self.reader.reject(document.session.at, "a session lasts 24h at most");
        }
        self.check_probes(vip, document);
        let VipMode::Nat { pool, to } = &vip.mode else { return };
        let origins: Vec<(IpAddr, u16)> = self.addresses_of(*to).collect();
        for address in &*document.addresses {
            if !origins.is_empty() && origins.iter().all(|(origin, _)| origin.is_ipv4() != address.is_ipv4()) {
                self.reader.reject(address.at, "the cluster has no origin of this family, and nat does not change it");
            }
        }
        if pool.is_none() {
            self.check_gateway(vip, document, &origins, claims);
        }
    }

    /// A connection can be given to a listening socket of its own family only.
    fn check_listener(&mut self, vip: &Vip, document: &document::Vip, listeners: &BTreeMap<Name, Arc<Listener>>) {
        let VipMode::Terminate(name) = &vip.mode else { return };
        let Some(listener) = listeners.get(name) else { return };
        let listens = |family: &IpAddr| listener.binds.iter().filter_map(Address::ip).any(|bind| bind.is_ipv4() == family.is_ipv4());
        for address in document.addresses.iter().filter(|address| !listens(&address.value)) {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format_args!("the listener {name:?} has no bind of {family}, so it cannot take this address's connections");
            self.reader.reject(address.at, message);
        }
    }

    /// Checks need a port to ask at; and what is more than a connection has to be asked at a port that understands it.
    fn check_probes(&mut self, vip: &Vip, document: &document::Vip) {
        let (Some(slot), Some(to)) = (vip.mode.cluster(), &document.to) else { return };
        let Some(checks) = self.cluster(slot).map(|cluster| cluster.health.clone()) else { return };
        let is_direct = vip.probe == ProbeBy::Direct || matches!(vip.mode, VipMode::Nat { .. });
        let tcp = || vip.ports.iter().filter(|ports| ports.transport == Transport::Tcp);
        let has_ports = self.addresses_of(slot).all(|(_, port)| port != 0);
        if is_direct && tcp().next().is_none() && !has_ports && checks.iter().any(|check| check.port.is_none()) {
            self.reader.reject(to.at, "neither this VIP nor the cluster's endpoints have a port for tcp, so its checks need one");
        }
        let is_sure = (is_direct && has_ports) || (tcp().count() == 1 && tcp().all(|ports| ports.first == ports.last));
        if !is_sure && checks.iter().any(|check| check.kind != HealthKind::Tcp && check.port.is_none()) {
            self.reader.reject(to.at, "this VIP has not one port of tcp alone, so checks by http and grpc of its cluster need a port");
        }
    }

    /// Answers are translated back by the origin's address and port alone: those have to say which VIP is meant.
    fn check_gateway(&mut self, vip: &Vip, document: &document::Vip, origins: &[(IpAddr, u16)], claims: &mut Claims) {
        for (place, address) in document.addresses.iter().enumerate() {
            if document.addresses[..place].iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
                self.reader
                    .reject(address.at, "with snat: none a VIP has one address of each family: answers do not say which they belong to");
            }
        }
        for ports in &vip.ports {
            let is_range = ports.first != ports.last;
            for &(origin, port) in origins {
                if is_range && port != 0 {
                    self.reader.reject(document.ports.at, "with snat: none a range of ports goes to origins without a port of their own");
                    return;
                }
                if claims.origins.len() + usize::from(ports.last - ports.first) >= ORIGINS_MAX {
                    self.reader
                        .reject(document.ports.at, format_args!("with snat: none all VIPs have at most {ORIGINS_MAX} origins' ports"));
                    return;
                }
                for port in if port == 0 { ports.first..=ports.last } else { port..=port } {
                    if let Some(owner) = claims.origins.insert((origin, ports.transport, port), vip.name.clone()) {
                        let message = format_args!("the origin {origin} answers from port {port} for {owner:?} already, and snat is none");
                        self.reader.reject(document.ports.at, message);
                        return;
                    }
                }
            }
        }
    }

    /// Origins of VIPs have IP addresses.
    fn check_endpoints(&mut self, slot: ClusterSlot, at: At) {
        let unix =
            self.cluster(slot).and_then(|cluster| cluster.endpoints.iter().find(|endpoint| matches!(endpoint.address, Address::Unix(_))));
        if let Some(endpoint) = unix {
            let message = format!("packets cannot be sent to {}", endpoint.name);
            self.reader.reject(at, message);
        }
    }

    /// Who speaks to origins itself needs their ports: refuses routes and listeners to clusters that leave them out.
    pub(super) fn check_ports(&mut self, root: &Root) {
        let has_port = |cluster: &Cluster| cluster.endpoints.iter().all(|endpoint| port_of(&endpoint.address) != Some(0));
        let portless: HashSet<ClusterSlot> = self
            .table
            .slots
            .iter()
            .filter_map(|slot| slot.cluster.as_ref())
            .filter(|cluster| !has_port(cluster))
            .map(|cluster| cluster.slot)
            .collect();
        if portless.is_empty() {
            return;
        }
        let tcp = root.listeners.entries.iter().filter_map(|entry| entry.value.tcp.as_ref()).flat_map(|tcp| &tcp.to.clusters);
        let passed = root.listeners.entries.iter().flat_map(|entry| &entry.value.passthrough).flat_map(|rule| &rule.to.clusters);
        let tcp = tcp.chain(passed).filter_map(|(at, name, _)| Some((*at, *self.table.by_name.get(name)?)));
        let routes = self.origin.listeners.values().flatten().flat_map(|site| &site.routes);
        let routes = routes.flat_map(|route| route.targets().iter().map(|target| (route.at, target.slot)));
        let users: Vec<(At, ClusterSlot)> = tcp.chain(routes).filter(|(_, slot)| portless.contains(slot)).collect();
        for (at, slot) in users {
            let name = self.cluster(slot).map_or_else(|| Name::from(""), |cluster| cluster.name.clone());
            self.reader.reject_key(at, format_args!("the cluster {name:?} has endpoints without a port: only VIPs can go there"));
        }
    }

    fn cluster(&self, slot: ClusterSlot) -> Option<&Arc<Cluster>> {
        self.table.slots.get(slot.index as usize)?.cluster.as_ref()
    }

    fn addresses_of(&self, slot: ClusterSlot) -> impl Iterator<Item = (IpAddr, u16)> {
        let endpoints = self.cluster(slot).map_or(&[][..], |cluster| &cluster.endpoints);
        endpoints.iter().filter_map(|endpoint| match &endpoint.address {
            Address::Tcp(address) => Some((address.ip(), address.port())),
            Address::Unix(_) => None,
        })
    }
}

fn port_of(address: &Address) -> Option<u16> {
    match address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    }
}
