//! What the workers read: one immutable tree of `Arc`ed resources in stable slots.
//!
//! An update shares every resource that did not change with the tree before it, so a reader can hold one resource (a
//! route, a cluster) without holding the rest. Nothing here is ever changed after it was built, and nothing here is live
//! state: health, load and counters are kept beside it, by cluster name and address.

mod cluster;
mod health;
mod http;
mod listener;
mod passthrough;
mod process;
mod tls;
mod vip;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use hashbrown::HashMap;

use crate::contents::Kept;
use crate::origin::Origin;

pub use cluster::{Cluster, ClusterLimits, ClusterSlot, ClusterTimeouts, Endpoint, Policy, Protocol, ProxyProtocol, State};
pub use health::{HealthCheck, HealthKind};
pub use http::{Action, HeaderEdits, HeaderField, HttpListener, Reply, Retry, Route, Target, Targets, TunnelLimits};
pub use listener::{ForwardedFrom, Kind, Listener, ListenerLimits, ListenerTimeouts, OnChange, TcpListener};
pub use passthrough::{Passthrough, PassthroughRule};
pub use process::{AccessLog, Admin, LogField, LogFormat, LogTarget, Metrics, Process};
pub use tls::{ClusterTls, ListenerTls, TicketKeys};
pub use vip::{Attach, Cookies, GuardList, HashBy, L4, L4Limits, OnDown, Origins, Pool, Ports, ProbeBy, Transport, Via, Vip, VipMode};

/// The name of a listener, cluster or route: cheap to clone, compared by text.
pub type Name = Arc<str>;

/// One whole configuration, compiled.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// 1 for the first, then one more than the snapshot it was compiled against.
    pub generation: u64,
    /// BLAKE3 of the documents it came from, and of the contents they name.
    pub hash: [u8; 32],
    /// By name.
    pub listeners: BTreeMap<Name, Arc<Listener>>,
    /// Certificates of secrets, by name.
    pub certificates: BTreeMap<Name, Arc<::tls::Certificate>>,
    /// VIPs of the kernel layer, by name.
    pub vips: BTreeMap<Name, Arc<Vip>>,
    /// What holds for the kernel layer of this machine.
    pub l4: Arc<L4>,
    /// The admin API.
    pub admin: Arc<Admin>,
    /// The access log; `None` writes none.
    pub access_log: Option<Arc<AccessLog>>,
    /// What is decided once, when the process starts.
    pub process: Arc<Process>,
    pub(crate) clusters: ClusterTable,
    pub(crate) origin: Origin,
    pub(crate) kept: Arc<Kept>,
}

impl Snapshot {
    /// The cluster in a slot, unless it was removed since the slot was given out. No hashing: for the data path.
    pub fn cluster(&self, slot: ClusterSlot) -> Option<&Arc<Cluster>> {
        self.clusters.slots.get(slot.index as usize)?.cluster.as_ref().filter(|cluster| cluster.slot == slot)
    }

    /// The cluster of this name.
    pub fn cluster_by_name(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.cluster(*self.clusters.by_name.get(name)?)
    }

    /// Every cluster, in the order of slots.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.slots.iter().filter_map(|slot| slot.cluster.as_ref())
    }

    /// How many slots there are, vacant ones included: every `ClusterSlot::index` is below it.
    pub fn cluster_slots(&self) -> usize {
        self.clusters.slots.len()
    }
}

/// Clusters in their slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterTable {
    pub(crate) slots: Vec<SlotEntry>,
    pub(crate) by_name: HashMap<Name, ClusterSlot>,
}

/// One slot: who has it now, and how often it changed hands.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotEntry {
    pub(crate) births: u32,
    pub(crate) cluster: Option<Arc<Cluster>>,
}
