//! From documents to a [`Snapshot`]: pure, and sharing with the snapshot before whatever did not change.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use std::collections::HashMap;

use model::Address;

use crate::containers::Entry;
use crate::document::{self, Root};
use crate::load::Loaded;
use crate::read::Reader;
use crate::rejection::Rejection;
use crate::resolve::resolve;
use crate::scalars::Trusted;
use crate::snapshot::{
    AccessLog, Admin, Cluster, ClusterLimits, ClusterSlot, ClusterTable, ClusterTimeouts, Endpoint, ForwardedFrom, Kind, Listener,
    ListenerLimits, ListenerTimeouts, Metrics, Name, Process, SlotEntry, Snapshot, TcpListener,
};
use crate::{compile_http, suggest};

/// Compiles what was loaded, or gives every reason against it.
///
/// What is as it was in `previous` is the same `Arc` as there, and every cluster that keeps its name keeps its slot.
pub fn compile(loaded: &Loaded, previous: Option<&Snapshot>) -> Result<Snapshot, Vec<Rejection>> {
    let mut reader = Reader::new(&loaded.documents, &loaded.environment);
    let root = resolve(loaded, &mut reader);
    let Some(root) = root else {
        return Err(reader.finish());
    };
    let mut compiler = Compiler::new(reader, &root, previous);
    compiler.clusters(&root);
    let listeners = compiler.listeners(&root);
    let snapshot = Snapshot {
        generation: previous.map_or(1, |previous| previous.generation + 1),
        hash: loaded.hash(),
        listeners,
        admin: share(admin(&root.admin), previous.map(|previous| &previous.admin)),
        access_log: compiler.access_log(&root),
        process: share(process(&root), previous.map(|previous| &previous.process)),
        clusters: compiler.table,
    };
    if compiler.reader.is_content() { Ok(snapshot) } else { Err(compiler.reader.finish()) }
}

/// The old one when it says the same.
pub(crate) fn share<T: PartialEq>(new: T, old: Option<&Arc<T>>) -> Arc<T> {
    match old {
        Some(old) if **old == new => old.clone(),
        _ => Arc::new(new),
    }
}

pub(crate) struct Compiler<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) previous: Option<&'a Snapshot>,
    table: ClusterTable,
    /// Clusters that were refused: no reason to refuse those who name them.
    refused: BTreeSet<Name>,
    /// Names of routes, and where they were given.
    pub(crate) route_names: HashMap<Name, crate::read::At>,
}

impl<'a> Compiler<'a> {
    fn new(reader: Reader<'a>, root: &Root, previous: Option<&'a Snapshot>) -> Self {
        let refused = root.clusters.refused.iter().cloned().collect();
        let mut compiler = Self { reader, previous, table: ClusterTable::default(), refused, route_names: HashMap::new() };
        compiler.assign_slots(root);
        compiler
    }

    /// Slots of clusters that stay, then vacant and new ones for those that are new.
    fn assign_slots(&mut self, root: &Root) {
        let names = || root.clusters.entries.iter().map(|entry| &entry.key);
        let mut by_name = HashMap::with_capacity(root.clusters.entries.len());
        let mut slots: Vec<SlotEntry> = Vec::new();
        let mut is_taken = Vec::new();
        if let Some(previous) = self.previous {
            slots = previous.clusters.slots.iter().map(|slot| SlotEntry { births: slot.births, cluster: None }).collect();
            is_taken = vec![false; slots.len()];
            for name in names() {
                if let Some((name, slot)) = previous.clusters.by_name.get_key_value(name) {
                    is_taken[slot.index as usize] = true;
                    by_name.insert(name.clone(), *slot);
                }
            }
        }
        let mut vacant = (0..).zip(is_taken).filter_map(|(index, taken)| (!taken).then_some(index));
        for name in names() {
            if by_name.contains_key(name) {
                continue;
            }
            let index = vacant.next().unwrap_or_else(|| {
                slots.push(SlotEntry::default());
                u32::try_from(slots.len() - 1).expect("a document has fewer than 2^32 clusters")
            });
            let entry = &mut slots[index as usize];
            by_name.insert(name.clone(), ClusterSlot { index, birth: entry.births });
            entry.births += 1;
        }
        self.table = ClusterTable { slots, by_name };
    }

    /// The slot of a cluster that something points to.
    pub(crate) fn slot_of(&mut self, name: &Name, at: crate::read::At) -> Option<ClusterSlot> {
        if let Some(slot) = self.table.by_name.get(name) {
            return Some(*slot);
        }
        if !self.refused.contains(name) {
            let guess = suggest::nearest(name, self.table.by_name.keys().map(|name| &**name));
            let guess = guess.map_or(String::new(), |guess| format!(" (did you mean {guess:?}?)"));
            self.reader.reject(at, format_args!("there is no cluster {name:?}{guess}; it has to stand under clusters"));
        }
        None
    }

    fn clusters(&mut self, root: &Root) {
        for entry in &root.clusters.entries {
            let Some((name, slot)) = self.table.by_name.get_key_value(&entry.key).map(|(name, slot)| (name.clone(), *slot)) else {
                continue;
            };
            let old = self.previous.and_then(|previous| previous.cluster(slot));
            let cluster = self.cluster(name, slot, &entry.value, old.map(|old| &**old));
            self.table.slots[slot.index as usize].cluster = Some(share(cluster, old));
        }
    }

    fn cluster(&mut self, name: Name, slot: ClusterSlot, cluster: &document::Cluster, old: Option<&Cluster>) -> Cluster {
        let listed = &cluster.endpoints;
        if listed.is_empty() {
            self.reader.reject(listed.at, "a cluster needs at least one endpoint");
        }
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::with_capacity(listed.len());
        let mut seen: BTreeMap<&Address, ()> = BTreeMap::new();
        for (place, endpoint) in listed.iter().enumerate() {
            if seen.insert(&endpoint.address, ()).is_some() {
                self.reader.reject(endpoint.at, format_args!("the endpoint {} stands here twice", endpoint.address));
            }
            endpoints.push(share_endpoint(endpoint, old.and_then(|old| old.endpoints.get(place))));
        }
        let timeouts = ClusterTimeouts {
            connect: cluster.timeouts.connect.and_then(|limit| limit.0),
            idle: cluster.timeouts.idle.and_then(|limit| limit.0),
        };
        let limits = ClusterLimits { connections: cluster.limits.connections.0, pending: cluster.limits.pending.0 };
        Cluster { name, slot, endpoints, policy: cluster.balance, timeouts, limits, proxy_protocol: cluster.proxy_protocol }
    }

    fn listeners(&mut self, root: &Root) -> BTreeMap<Name, Arc<Listener>> {
        let mut bound: HashMap<Address, Name> = HashMap::new();
        let mut listeners = BTreeMap::new();
        for entry in &root.listeners.entries {
            let binds = self.binds(&entry.key, &entry.value, &mut bound);
            let old = self.previous.and_then(|previous| previous.listeners.get(&entry.key));
            if let Some(listener) = self.listener(entry, binds, old) {
                listeners.insert(listener.name.clone(), listener);
            }
        }
        listeners
    }

    fn binds(&mut self, name: &Name, listener: &document::Listener, bound: &mut HashMap<Address, Name>) -> Vec<Address> {
        if listener.bind.is_empty() {
            self.reader.reject(listener.bind.at, "a listener needs at least one address to listen on");
        }
        let mut binds = Vec::new();
        for bind in &*listener.bind {
            for address in &bind.value.0 {
                if let Some(owner) = bound.insert(address.clone(), name.clone()) {
                    self.reader.reject(bind.at, format_args!("{address} is already listened on by {owner:?}"));
                }
                binds.push(address.clone());
            }
        }
        binds
    }

    fn listener(
        &mut self,
        entry: &Entry<Name, document::Listener>,
        binds: Vec<Address>,
        old: Option<&Arc<Listener>>,
    ) -> Option<Arc<Listener>> {
        let (name, listener) = (&entry.key, &entry.value);
        let kind = match (&listener.http, &listener.tcp) {
            (Some(http), None) => {
                let old = old.and_then(|old| if let Kind::Http(http) = &old.kind { Some(http) } else { None });
                Kind::Http(compile_http::http(self, name, http, old)?)
            }
            (None, Some(tcp)) => {
                let old = old.and_then(|old| if let Kind::Tcp(tcp) = &old.kind { Some(tcp) } else { None });
                Kind::Tcp(share(TcpListener { to: compile_http::targets(self, &tcp.to)? }, old))
            }
            (None, None) => {
                self.reader.reject_key(entry.at, "a listener needs one of http and tcp");
                return None;
            }
            (Some(_), Some(tcp)) => {
                self.reader.reject_key(tcp.at, "a listener has either http or tcp, not both");
                return None;
            }
        };
        if let (Some(accept), true) = (&listener.proxy_protocol, listener.trusted.is_empty()) {
            self.reader.reject(accept.at, "PROXY headers are taken from trusted sources only: say which under trusted");
        }
        let new = Listener {
            name: old.map_or(name, |old| &old.name).clone(),
            binds,
            kind,
            timeouts: timeouts(&listener.timeouts),
            limits: limits(&listener.limits),
            trusted: trusted(&listener.trusted),
            accept_proxy_protocol: listener.proxy_protocol.is_some(),
            on_change: listener.on_change,
        };
        Some(share(new, old))
    }

    fn access_log(&mut self, root: &Root) -> Option<Arc<AccessLog>> {
        let log = root.access_log.as_ref()?;
        let fields = &log.fields;
        if fields.is_empty() {
            self.reader.reject(fields.at, "a log line needs at least one field");
        }
        for (place, field) in fields.iter().enumerate() {
            if fields[..place].contains(field) {
                let name = crate::read::Scalar::shown(field).into_text();
                self.reader.reject(fields.at, format_args!("the field {name} stands here twice"));
            }
        }
        let new = AccessLog { target: log.to.clone(), format: log.format, fields: fields.value.clone().into() };
        Some(share(new, self.previous.and_then(|previous| previous.access_log.as_ref())))
    }
}

fn share_endpoint(endpoint: &document::Endpoint, old: Option<&Arc<Endpoint>>) -> Arc<Endpoint> {
    let is_same = |old: &Arc<Endpoint>| {
        let labels = &endpoint.labels.entries;
        old.address == endpoint.address
            && old.weight == endpoint.weight.0
            && old.labels.len() == labels.len()
            && labels.iter().all(|label| old.labels.get(&*label.key).is_some_and(|value| **value == *label.value))
    };
    if let Some(old) = old.filter(|old| is_same(old)) {
        return old.clone();
    }
    let labels = endpoint.labels.entries.iter().map(|label| ((*label.key).into(), label.value.as_str().into()));
    Arc::new(Endpoint {
        name: endpoint.address.to_string().into(),
        address: endpoint.address.clone(),
        weight: endpoint.weight.0,
        labels: labels.collect(),
    })
}

fn timeouts(timeouts: &document::ListenerTimeouts) -> ListenerTimeouts {
    ListenerTimeouts {
        request_head: timeouts.request_head.and_then(|limit| limit.0),
        idle: timeouts.idle.and_then(|limit| limit.0),
        drain: timeouts.drain.and_then(|limit| limit.0),
    }
}

fn limits(limits: &document::ListenerLimits) -> ListenerLimits {
    let bytes = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    ListenerLimits {
        connections: limits.connections.0,
        head: model::HeadLimits {
            head_bytes_max: bytes(limits.header_bytes.0),
            target_bytes_max: bytes(limits.target_bytes.0),
            fields_max: u16::try_from(limits.headers.0).unwrap_or(u16::MAX),
        },
        body_bytes: limits.body_bytes.0,
    }
}

fn trusted(trusted: &[Trusted]) -> ForwardedFrom {
    let networks = trusted.iter().filter_map(|source| if let Trusted::Network(network) = source { Some(*network) } else { None });
    ForwardedFrom { networks: networks.collect(), unix: trusted.contains(&Trusted::Unix) }
}

fn admin(admin: &document::Admin) -> Admin {
    let metrics = admin.metrics.as_ref().map(|metrics| Metrics {
        bind: metrics.bind,
        hosts: metrics.hosts.iter().map(|host| crate::read::Scalar::shown(&host.value).into_text().into()).collect(),
    });
    Admin { socket: admin.bind.as_ref().map(|socket| socket.0.clone()), metrics }
}

fn process(root: &Root) -> Process {
    let text = |text: &Option<String>| text.as_deref().map(Box::from);
    Process { workers: root.workers.0, user: text(&root.user), group: text(&root.group) }
}
