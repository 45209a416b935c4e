//! What the admin API tells as JSON, and what its clients read back.

use alloc::collections::BTreeMap;
use core::fmt::Write;
use std::{collections::HashMap, path::PathBuf};

use config::{Kind, Policy, Snapshot};
use serde::{Deserialize, Serialize};
use stats::{SeriesView, View};

use crate::status::Live;

/// `/config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    /// Number of the configuration in force, from 1.
    pub generation: u64,
    /// Of its texts, in hexadecimal.
    pub hash: String,
    /// When it came into force.
    pub since: String,
    /// Its files as they were read, the main one first: neither environment nor secrets are filled in.
    pub files: BTreeMap<PathBuf, String>,
    /// The main file.
    pub file: PathBuf,
    /// Why the last one offered was refused; `None` once another was applied.
    pub refused: Option<RefusalView>,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalView {
    /// When.
    pub at: String,
    /// Each reason.
    pub reasons: Vec<String>,
}

impl From<&Live> for ConfigView {
    fn from(live: &Live) -> Self {
        let mut hash = String::new();
        for byte in live.snapshot.hash {
            write!(hash, "{byte:02x}").expect("a String takes everything");
        }
        Self {
            generation: live.snapshot.generation,
            hash,
            since: live.since.clone(),
            files: live.files.iter().map(|file| (file.path.clone(), file.text.clone())).collect(),
            file: live.files.first().map(|file| file.path.clone()).unwrap_or_default(),
            refused: live.refusal.as_ref().map(|refusal| RefusalView { at: refusal.at.clone(), reasons: refusal.reasons.clone() }),
        }
    }
}

/// One of `/clusters`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// How an endpoint is chosen.
    pub balance: String,
    /// Connections open now.
    pub connections_active: i64,
    /// Connections opened.
    pub connects: i64,
    /// Connections that could not be opened.
    pub connect_failures: i64,
    /// Attempts after the first.
    pub retries: i64,
    /// Its endpoints, in the order of the file.
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its address.
    pub address: String,
    /// Its share.
    pub weight: u32,
    /// Free words about it.
    pub labels: BTreeMap<String, String>,
    /// What its health checks say: up, or down; `unchecked` without any.
    pub health: String,
    /// Attempts sent.
    pub requests: i64,
    /// Percentiles of the time to its response's head, in seconds.
    pub seconds: BTreeMap<String, f64>,
}

/// One of `/listeners`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Its name.
    pub name: String,
    /// `http` or `tcp`.
    pub kind: String,
    /// Its sockets.
    pub binds: Vec<String>,
    /// Its routes, in order; none for TCP.
    pub routes: Vec<String>,
    /// Connections open now.
    pub connections_active: i64,
    /// Connections accepted.
    pub connections: i64,
    /// Connections refused.
    pub refused: i64,
    /// Requests read.
    pub requests: i64,
}

/// All clusters with what was counted of them.
pub(super) fn clusters(snapshot: &Snapshot, view: &View) -> Vec<ClusterView> {
    let sums = |metric| Sums::by(view, metric, "cluster");
    let active = sums("sluice_upstream_connections_active");
    let connects = sums("sluice_upstream_connects_total");
    let failures = sums("sluice_upstream_connect_failures_total");
    let retries = sums("sluice_retries_total");
    let requests = by_endpoint(view, "sluice_upstream_requests_total");
    let up = by_endpoint(view, "sluice_upstream_up");
    let durations = by_endpoint(view, "sluice_upstream_duration_seconds");
    let cluster = |cluster: &alloc::sync::Arc<config::Cluster>| ClusterView {
        name: cluster.name.to_string(),
        balance: policy(cluster.policy).to_owned(),
        connections_active: active.of(&cluster.name),
        connects: connects.of(&cluster.name),
        connect_failures: failures.of(&cluster.name),
        retries: retries.of(&cluster.name),
        endpoints: cluster
            .endpoints
            .iter()
            .map(|endpoint| EndpointView {
                address: endpoint.name.to_string(),
                weight: endpoint.weight,
                labels: endpoint.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
                health: if cluster.health.is_empty() {
                    "unchecked".to_owned()
                } else {
                    let is_up = up.get(&(&*cluster.name, &*endpoint.name)).is_some_and(|series| series.value > 0);
                    if is_up { "up" } else { "down" }.to_owned()
                },
                requests: requests.get(&(&*cluster.name, &*endpoint.name)).map_or(0, |series| series.value),
                seconds: durations.get(&(&*cluster.name, &*endpoint.name)).map(|series| series.seconds.clone()).unwrap_or_default(),
            })
            .collect(),
    };
    snapshot.clusters().map(cluster).collect()
}

/// All listeners with what was counted of them.
pub(super) fn listeners(snapshot: &Snapshot, view: &View) -> Vec<ListenerView> {
    let sums = |metric| Sums::by(view, metric, "listener");
    let active = sums("sluice_downstream_connections_active");
    let accepted = sums("sluice_downstream_connections_total");
    let refused = sums("sluice_downstream_connections_refused_total");
    let requests = sums("sluice_requests_total");
    let listener = |listener: &alloc::sync::Arc<config::Listener>| {
        let (kind, routes) = match &listener.kind {
            Kind::Http(http) => ("http", http.routes.iter().map(|route| route.name.to_string()).collect()),
            Kind::Tcp(_) => ("tcp", Vec::new()),
            Kind::Passthrough => ("passthrough", Vec::new()),
        };
        ListenerView {
            name: listener.name.to_string(),
            kind: kind.to_owned(),
            binds: listener.binds.iter().map(ToString::to_string).collect(),
            routes,
            connections_active: active.of(&listener.name),
            connections: accepted.of(&listener.name),
            refused: refused.of(&listener.name),
            requests: requests.of(&listener.name),
        }
    };
    snapshot.listeners.values().map(listener).collect()
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::RoundRobin => "round_robin",
        Policy::LeastRequest => "least_request",
        Policy::Random => "random",
    }
}

/// A metric's sums by one label, so that ten thousand clusters are not each looked for in ten thousand series.
struct Sums<'a>(HashMap<&'a str, i64>);

impl<'a> Sums<'a> {
    fn by(view: &'a View, metric: &str, label: &str) -> Self {
        let mut sums: HashMap<&str, i64> = HashMap::new();
        for series in view.series(metric) {
            if let Some(value) = series.labels.get(label) {
                *sums.entry(value).or_default() += series.value;
            }
        }
        Self(sums)
    }

    fn of(&self, value: &str) -> i64 {
        self.0.get(value).copied().unwrap_or(0)
    }
}

fn by_endpoint<'a>(view: &'a View, metric: &str) -> HashMap<(&'a str, &'a str), &'a SeriesView> {
    let key = |series: &'a SeriesView| Some(((series.labels.get("cluster")?.as_str(), series.labels.get("endpoint")?.as_str()), series));
    view.series(metric).iter().filter_map(key).collect()
}
