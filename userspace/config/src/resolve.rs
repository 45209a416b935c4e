//! All documents as one, every inherited value filled in: what is compiled, and what `config --effective` prints.

use crate::containers::{Lazy, Map};
use crate::document::{Cluster, Included, Listener, Root, Route, Timeouts};
use crate::load::Loaded;
use crate::read::Reader;
use crate::scalars::TimeLimit;
use crate::snapshot::Name;

/// Reads every document and fills in what is inherited. `None` only when the main file could not be read at all.
pub(crate) fn resolve(loaded: &Loaded, reader: &mut Reader<'_>) -> Option<Root> {
    let root: Option<Root> = reader.document(0);
    let included: Vec<Included> = (1..loaded.documents.len()).filter_map(|index| reader.document(index)).collect();
    let mut root = root?;
    for file in included {
        append(&mut root.secrets, file.secrets);
        append(&mut root.listeners, file.listeners);
        append(&mut root.clusters, file.clusters);
        append(&mut root.vips, file.vips);
    }
    root.include.clear();
    if loaded.documents.len() > 1 {
        refuse_twice(&mut root.secrets, "secret", reader);
        refuse_twice(&mut root.listeners, "listener", reader);
        refuse_twice(&mut root.clusters, "cluster", reader);
        refuse_twice(&mut root.vips, "VIP", reader);
    }
    inherit(&mut root);
    Some(root)
}

fn append<V>(map: &mut Map<Name, V>, mut more: Map<Name, V>) {
    map.entries.append(&mut more.entries);
    map.refused.append(&mut more.refused);
}

/// Every name stands in one file only (inside one file the tree has seen to it).
fn refuse_twice<V>(map: &mut Map<Name, V>, what: &str, reader: &mut Reader<'_>) {
    let mut seen = hashbrown::HashMap::with_capacity(map.entries.len());
    map.entries.retain(|entry| match seen.insert(entry.key.clone(), entry.at) {
        None => true,
        Some(first) => {
            let first = reader.locate(first);
            reader.reject_key(entry.at, format_args!("the {what} {:?} is already defined at {first}", entry.key));
            false
        }
    });
}

fn inherit(root: &mut Root) {
    let defaults = &root.defaults.timeouts;
    for listener in &mut root.listeners.entries {
        inherit_listener(&mut listener.value, defaults);
    }
    for cluster in &mut root.clusters.entries {
        if let Some(cluster) = cluster.value.get_mut() {
            inherit_cluster(cluster, defaults);
        }
    }
}

/// Fills in what a cluster inherits.
pub(crate) fn inherit_cluster(cluster: &mut Cluster, defaults: &Timeouts) {
    cluster.timeouts.connect.get_or_insert(defaults.connect);
    cluster.timeouts.idle.get_or_insert(defaults.idle);
}

/// Fills in what a route inherits from its listener.
pub(crate) fn inherit_route(route: &mut Route, request: TimeLimit) {
    route.timeouts.request.get_or_insert(request);
}

fn inherit_listener(listener: &mut Listener, defaults: &Timeouts) {
    let timeouts = &mut listener.timeouts;
    timeouts.request_head.get_or_insert(defaults.request_head);
    let request = *timeouts.request.get_or_insert(defaults.request);
    timeouts.idle.get_or_insert(defaults.idle);
    timeouts.drain.get_or_insert(defaults.drain);
    for site in listener.http.iter_mut().flat_map(|http| &mut http.sites) {
        for route in site.routes.iter_mut().filter_map(Lazy::get_mut) {
            inherit_route(route, request);
        }
    }
}
