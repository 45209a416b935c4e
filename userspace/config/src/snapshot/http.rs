//! What an HTTP listener knows: its routes, and what each does with a request.

use alloc::sync::Arc;
use core::time::Duration;

use balance::weighted;
use route::RouteTable;

use super::{ClusterSlot, Name};

/// The HTTP side of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    /// Host, path and method to route.
    pub table: RouteTable<Arc<Route>>,
    /// The same routes in file order, site after site.
    pub routes: Vec<Arc<Route>>,
}

/// What happens to the requests that match one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `name:` as given, else `LISTENER/FIRST_HOST/INDEX`.
    pub name: Name,
    /// What is done.
    pub action: Action,
    /// From the request's end to the response's head; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// Limits of tunnels.
    pub tunnel: TunnelLimits,
    /// Ports that CONNECT may ask for, none meaning any; `None` refuses CONNECT.
    pub connect: Option<Box<[u16]>>,
    /// How often it is tried.
    pub retry: Retry,
    /// Edits of the request before it goes up.
    pub request_edits: HeaderEdits,
    /// Edits of the response before it goes down.
    pub response_edits: HeaderEdits,
}

/// Time limits of tunnels: CONNECT and WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelLimits {
    /// How long nothing may move; `None`: as the listener says.
    pub idle: Option<Option<Duration>>,
    /// How long one may be open.
    pub total: Option<Duration>,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hands the request to a cluster.
    Forward(Targets),
    /// Answers by itself.
    Reply(Reply),
}

/// Clusters with their shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    targets: Box<[Target]>,
}

/// One cluster and its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The cluster's place in the snapshot.
    pub slot: ClusterSlot,
    /// Its share of the sum of all weights.
    pub weight: u32,
}

impl Targets {
    /// Never empty, no weight of the sum 0: the compiler has checked both.
    pub(crate) fn new(targets: Vec<Target>) -> Self {
        Self { targets: targets.into() }
    }

    /// The cluster that `random` (any number, evenly spread) falls to.
    pub fn pick(&self, random: u64) -> ClusterSlot {
        if let [only] = &*self.targets {
            return only.slot;
        }
        let weights = self.targets.iter().map(|target| target.weight);
        weighted(weights, random).map(|index| self.targets[index].slot).unwrap_or_default()
    }

    /// Every target, in the order of names.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// The body; may be empty.
    pub body: Box<[u8]>,
}

/// How often a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, the first included; at least 1.
    pub attempts: u32,
}

/// One field: its name in lower case, its value.
pub type HeaderField = (Box<[u8]>, Box<[u8]>);

/// Header edits as bytes, applied in this order: remove, set, add. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Fields that are taken away, however often they occur.
    pub remove: Box<[Box<[u8]>]>,
    /// Fields that replace all of the same name.
    pub set: Box<[HeaderField]>,
    /// Fields that are added to what is there.
    pub add: Box<[HeaderField]>,
}

impl HeaderEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
