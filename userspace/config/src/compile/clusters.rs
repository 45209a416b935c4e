//! Clusters: their slots, their endpoints.

use alloc::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{Compiler, share};
use crate::document::{self, Root};
use crate::read::{At, Scalar as _};
use crate::resolve::inherit_cluster;
use crate::scalars::RedirectVia;
use crate::snapshot::{Cluster, ClusterLimits, ClusterSlot, ClusterTable, ClusterTimeouts, Endpoint, Name, Protocol, SlotEntry, State};
use crate::suggest;

/// The least of a backlog: one packet of the kernel's may be as large.
const BACKLOG_MIN: u64 = 64 << 10;

impl Compiler<'_> {
    /// The slots they had for clusters that stay, then vacant and new ones for those that are new.
    pub(super) fn assign_slots(&mut self, root: &Root) {
        let entries = &root.clusters.entries;
        let old = self.previous.map(|previous| &previous.clusters);
        let mut slots: Vec<SlotEntry> =
            old.map_or(Vec::new(), |old| old.slots.iter().map(|slot| SlotEntry { births: slot.births, cluster: None }).collect());
        let mut is_taken = vec![false; slots.len()];
        let mut by_name = HashMap::with_capacity(entries.len());
        let mut fresh = Vec::new();
        for entry in entries {
            match old.and_then(|old| old.by_name.get_key_value(&entry.key)) {
                Some((name, slot)) => {
                    is_taken[slot.index as usize] = true;
                    by_name.insert(name.clone(), *slot);
                }
                None => fresh.push(entry.key.clone()),
            }
        }
        let mut vacant = (0..).zip(is_taken).filter_map(|(index, taken)| (!taken).then_some(index));
        for name in fresh {
            let index = vacant.next().unwrap_or_else(|| {
                slots.push(SlotEntry::default());
                u32::try_from(slots.len() - 1).expect("a document has fewer than 2^32 clusters")
            });
            let entry = &mut slots[index as usize];
            by_name.insert(name, ClusterSlot { index, birth: entry.births });
            entry.births = entry.births.wrapping_add(1);
        }
        self.origin.clusters = vec![At::default(); slots.len()];
        self.table = ClusterTable { slots, by_name };
    }

    /// The slot of a cluster that something points to.
    pub(super) fn slot_of(&mut self, refused: &[Name], name: &Name, at: At) -> Option<ClusterSlot> {
        if let Some(slot) = self.table.by_name.get(name) {
            return Some(*slot);
        }
        // A cluster that was refused is there all the same: no reason to refuse those who name it.
        if !refused.contains(name) {
            let guess = suggest::nearest(name, self.table.by_name.keys().map(|name| &**name));
            let guess = guess.map_or(String::new(), |guess| format!(" (did you mean {guess:?}?)"));
            self.reader.reject(at, format_args!("there is no cluster {name:?}{guess}; it has to stand under clusters"));
        }
        None
    }

    pub(super) fn compile_clusters(&mut self, root: &mut Root) {
        let defaults = &root.defaults.timeouts;
        let comparable = self.comparable.filter(|previous| previous.origin.inherits(defaults));
        for entry in &mut root.clusters.entries {
            let Some((name, slot)) = self.table.by_name.get_key_value(&entry.key).map(|(name, slot)| (name.clone(), *slot)) else {
                continue;
            };
            self.origin.clusters[slot.index as usize] = entry.at;
            let old = self.previous.and_then(|previous| previous.cluster(slot));
            // The same words about TLS may mean other contents now.
            let is_same = old.is_some_and(|old| old.tls.is_none())
                && comparable.is_some_and(|previous| {
                    let stood = previous.origin.clusters[slot.index as usize];
                    previous.origin.is_same(stood, &self.loaded.documents, entry.at)
                });
            let cluster = if is_same {
                old.cloned()
            } else {
                entry.value.take(&mut self.reader).map(|mut cluster| {
                    inherit_cluster(&mut cluster, defaults);
                    share(self.compile_cluster(name, slot, &cluster, old.map(|old| &**old)), old)
                })
            };
            self.table.slots[slot.index as usize].cluster = cluster;
        }
    }

    fn compile_cluster(&mut self, name: Name, slot: ClusterSlot, cluster: &document::Cluster, old: Option<&Cluster>) -> Cluster {
        let listed = &cluster.endpoints;
        if self.reader.is_empty(listed.at) {
            self.reader.reject(listed.at, "a cluster needs at least one endpoint");
        }
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::with_capacity(listed.len());
        let mut seen = HashSet::new();
        for (place, endpoint) in listed.iter().enumerate() {
            if !seen.insert(&endpoint.address) {
                self.reader.reject(endpoint.at, format_args!("the endpoint {} stands here twice", endpoint.address));
            }
            endpoints.push(share_endpoint(endpoint, old.and_then(|old| old.endpoints.get(place))));
        }
        let timeouts = ClusterTimeouts {
            connect: cluster.timeouts.connect.and_then(|limit| limit.0),
            idle: cluster.timeouts.idle.and_then(|limit| limit.0),
        };
        let protocol = self.protocol(cluster);
        let limits = ClusterLimits { connections: cluster.limits.connections.0, pending: cluster.limits.pending.0 };
        Cluster {
            name,
            slot,
            endpoints,
            policy: cluster.balance,
            timeouts,
            limits,
            proxy_protocol: cluster.proxy_protocol,
            tls: cluster.tls.as_ref().and_then(|tls| self.cluster_tls(tls, cluster, old.and_then(|old| old.tls.as_ref()))),
            protocol,
            http2: share(cluster.http2.compiled(), old.map(|old| &old.http2)),
            redirect: self.redirect(cluster),
            health: self.health(cluster, protocol),
        }
    }
}

impl Compiler<'_> {
    /// How many bytes may wait in the kernel for one side, where it carries them.
    fn redirect(&mut self, cluster: &document::Cluster) -> Option<u64> {
        let redirect = cluster.redirect.as_ref()?;
        let RedirectVia::Sockmap = redirect.value.via;
        if cluster.tls.is_some() {
            self.reader.reject(redirect.at, "what is encrypted here cannot go by the kernel: either tls or redirect");
        }
        let backlog = &redirect.value.backlog;
        if backlog.value.0 < BACKLOG_MIN {
            self.reader.reject(backlog.at, "the backlog has to be at least 64KiB: one packet may be as large");
        }
        Some(backlog.value.0)
    }

    fn protocol(&mut self, cluster: &document::Cluster) -> Protocol {
        match (&cluster.protocol, &cluster.tls) {
            (Some(protocol), None) if protocol.value == Protocol::Auto => {
                self.reader.reject(protocol.at, "endpoints choose by ALPN, which is a part of TLS: auto needs tls");
                Protocol::Auto
            }
            (Some(protocol), _) => protocol.value,
            (None, Some(_)) => Protocol::Auto,
            (None, None) => Protocol::Http1,
        }
    }
}

fn share_endpoint(endpoint: &document::Endpoint, old: Option<&Arc<Endpoint>>) -> Arc<Endpoint> {
    let is_same = |old: &Arc<Endpoint>| {
        let labels = &endpoint.labels.entries;
        old.address == endpoint.address
            && old.table_weight == endpoint.weight.0
            && old.state == endpoint.state
            && old.labels.len() == labels.len()
            && labels.iter().all(|label| old.labels.get(&*label.key).is_some_and(|value| **value == *label.value))
    };
    if let Some(old) = old.filter(|old| is_same(old)) {
        return old.clone();
    }
    let labels = endpoint.labels.entries.iter().map(|label| ((*label.key).into(), label.value.as_str().into()));
    Arc::new(Endpoint {
        name: endpoint.address.shown().into_text().into(),
        address: endpoint.address.clone(),
        weight: if endpoint.state == State::Active { endpoint.weight.0 } else { 0 },
        table_weight: endpoint.weight.0,
        state: endpoint.state,
        labels: labels.collect(),
    })
}
