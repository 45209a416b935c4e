//! TLS of listeners and clusters, compiled: what sessions are made with.

use alloc::sync::Arc;
use core::time::Duration;

use tls::{Client, Server, Tickets};

use crate::contents::Digest;

/// TLS of a listener. As long as neither its settings nor the contents of its files change, it is the very same.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// What a client's session is made with.
    pub server: Arc<Server>,
    /// The keys of its tickets, which control turns; `None` writes none.
    pub tickets: Option<Arc<TicketKeys>>,
    /// The field, in lower case, that tells origins who the client has proved to be. Whatever clients put into it themselves is removed.
    pub client_identity_field: Option<Box<[u8]>>,
    /// Of settings and contents.
    pub(crate) fingerprint: Digest,
}

/// Ticket keys of a listener. They outlive changes of everything but themselves, so that sessions are resumed over them.
#[derive(Clone, Debug)]
pub struct TicketKeys {
    /// The keys, shared by all workers.
    pub keys: Arc<Tickets>,
    /// How often [`Tickets::rotate`] is to be called; `None` for keys that come from elsewhere.
    pub rotate: Option<Duration>,
    /// Of the text they come from.
    pub(crate) digest: Option<Digest>,
}

/// TLS to the endpoints of a cluster. As long as neither its settings nor the contents of its files change, it is the very same.
#[derive(Clone, Debug)]
pub struct ClusterTls {
    /// What a session with an endpoint is made with. The name to ask for is the endpoint's IP address; the settings have another if they have to.
    pub client: Arc<Client>,
    /// Of settings and contents.
    pub(crate) fingerprint: Digest,
}

impl PartialEq for ListenerTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ListenerTls {}

impl PartialEq for ClusterTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClusterTls {}
