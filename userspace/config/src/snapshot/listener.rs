//! Listeners: where connections come in, and what holds for every connection of one.

use alloc::sync::Arc;
use core::net::IpAddr;
use core::time::Duration;

use model::{Address, HeadLimits, Network};

use super::{HttpListener, ListenerTls, Name, Passthrough, Targets};

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its key under `listeners:`.
    pub name: Name,
    /// The sockets, `*` already being two; never empty, each once in the whole snapshot. IPv6 ones are IPv6 only.
    pub binds: Vec<Address>,
    /// Connections that go on unopened; all others are the listener's own.
    pub passthrough: Arc<Passthrough>,
    /// TLS with its clients; `None` speaks in clear.
    pub tls: Option<Arc<ListenerTls>>,
    /// What is spoken.
    pub kind: Kind,
    /// Its time limits.
    pub timeouts: ListenerTimeouts,
    /// Its other limits.
    pub limits: ListenerLimits,
    /// HTTP/2 with its clients; how large heads may be is said by `limits`.
    pub http2: Arc<h2::Settings>,
    /// Whose word about the client is believed.
    pub trusted: ForwardedFrom,
    /// Whether connections from trusted sources begin with a PROXY protocol header (v1 or v2).
    pub accept_proxy_protocol: bool,
    /// What an update that changes this listener does to its connections.
    pub on_change: OnChange,
}

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP, routed by request.
    Http(Arc<HttpListener>),
    /// Bytes, carried to one of some clusters.
    Tcp(Arc<TcpListener>),
    /// Nothing of its own: who is not sent on unopened is refused.
    Passthrough,
}

/// What a TCP listener needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpListener {
    /// Where connections go.
    pub to: Targets,
}

/// A listener's time limits; `None` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    /// From a request's first byte (or the connection's start) to the end of its head.
    pub request_head: Option<Duration>,
    /// How long nothing may happen on a connection: between requests, and while one is under way.
    pub idle: Option<Duration>,
    /// How long requests under way may go on once the listener is removed or the process drains.
    pub drain: Option<Duration>,
}

/// A listener's limits; `None` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections, over all workers.
    pub connections: Option<u32>,
    /// Of request and response heads.
    pub head: HeadLimits,
    /// Bytes of a request body.
    pub body_bytes: Option<u64>,
}

/// The sources whose X-Forwarded-*, x-request-id and PROXY protocol headers are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedFrom {
    /// The networks; connections over UNIX sockets are trusted when `unix` is set.
    pub networks: Box<[Network]>,
    /// Whether peers on UNIX sockets are trusted.
    pub unix: bool,
}

impl ForwardedFrom {
    /// Whether a peer at `address` is believed. IPv4 in IPv6 clothes counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// What an update that changes a listener does to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// They stay; the next request takes the new configuration.
    Keep,
    /// They finish what they are at and close, at the latest after this long.
    Drain(Duration),
}
