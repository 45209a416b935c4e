//! How the endpoints of a cluster are asked whether they are well. One form for both layers: workers ask those that they forward to, the
//! kernel layer those that it sends packets to.

use core::ops::RangeInclusive;
use core::time::Duration;

/// One way of asking. An endpoint is up while all checks of its cluster say so; without checks it always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: HealthKind,
    /// From the end of one look to the beginning of the next.
    pub interval: Duration,
    /// What one look may take, connecting included.
    pub timeout: Duration,
    /// Good looks in a row after which one that was down is up, at least 1.
    pub rise: u32,
    /// Bad looks in a row after which one that was up is down, at least 1.
    pub fall: u32,
    /// Percent of the interval by which it varies, up to 50.
    pub jitter_percent: u32,
    /// The port that is asked; `None`: the endpoint's own.
    pub port: Option<u16>,
}

/// What is asked of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthKind {
    /// A request.
    Http {
        /// Path and query.
        path: Box<str>,
        /// Of which host; `None`: the endpoint's address.
        host: Option<Box<str>>,
        /// Statuses that are good; never empty.
        status: Vec<RangeInclusive<u16>>,
    },
    /// To be connected to.
    Tcp,
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc {
        /// About which service; empty: the server.
        service: Box<str>,
    },
}
