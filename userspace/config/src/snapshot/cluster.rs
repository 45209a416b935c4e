//! Clusters and their endpoints.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;

use model::Address;

use super::{ClusterTls, HealthCheck, Name};

/// A set of endpoints that answer the same requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its key under `clusters:`.
    pub name: Name,
    /// Where it sits in every snapshot for as long as its name exists.
    pub slot: ClusterSlot,
    /// In file order; never empty, each address once.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How an endpoint is chosen.
    pub policy: Policy,
    /// Its time limits.
    pub timeouts: ClusterTimeouts,
    /// Its other limits.
    pub limits: ClusterLimits,
    /// The PROXY protocol header written to the origin, if any.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS with its endpoints; `None` speaks in clear.
    pub tls: Option<Arc<ClusterTls>>,
    /// What its endpoints speak.
    pub protocol: Protocol,
    /// HTTP/2 with its endpoints; how large heads may be is said by the listener.
    pub http2: Arc<h2::Settings>,
    /// The kernel carries the bytes of TCP connections, of which so many may wait for one side; `None`: userspace does.
    pub redirect: Option<u64>,
    /// How its endpoints are asked whether they are well; empty: they are not.
    pub health: Vec<HealthCheck>,
}

/// A cluster's place. It outlives updates; a slot that is given to another name gets another `birth`, so a slot that
/// was kept too long finds nothing rather than a stranger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterSlot {
    /// Place in the table; small, for arrays.
    pub index: u32,
    /// How often the place had been given out before.
    pub birth: u32,
}

/// One origin address of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address as text: what logs and labels call it.
    pub name: Name,
    /// Where it listens.
    pub address: Address,
    /// Its share of what begins, relative to the others', 1 to 1 000; 0 when it is drained.
    pub weight: u32,
    /// Its share of the kernel layer's tables, which it keeps while it is drained.
    pub table_weight: u32,
    /// Whether anything new goes to it.
    pub state: State,
    /// Free words about it.
    pub labels: BTreeMap<Box<str>, Box<str>>,
}

/// Whether anything new goes to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Active,
    /// No; what began goes on.
    Drained,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// In turn, by weight.
    RoundRobin,
    /// The one with fewer requests of two drawn at random, by weight.
    LeastRequest,
    /// At random, by weight.
    Random,
}

/// What endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: one request after the other on a connection.
    Http1,
    /// HTTP/2: many at once.
    Http2,
    /// What the endpoint chooses by ALPN; HTTP/1.1 if it chooses nothing. Only with TLS.
    Auto,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}

/// A cluster's time limits; `None` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterTimeouts {
    /// To open a connection to an endpoint.
    pub connect: Option<Duration>,
    /// How long an unused connection to an endpoint is kept.
    pub idle: Option<Duration>,
}

/// A cluster's limits, over all workers; `None` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterLimits {
    /// Open connections to one endpoint.
    pub connections: Option<u32>,
    /// Requests that wait for a connection.
    pub pending: Option<u32>,
}
