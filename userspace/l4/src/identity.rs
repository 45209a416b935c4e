//! What things of the configuration are called in the kernel's maps.

use alloc::string::ToString;

use config::{Cluster, Endpoint};
use model::Address;

use crate::mix::mix_bytes;
use crate::tables::Family;

/// What a thing is called, hashed: the same in every process, so that a later one finds it by what the maps hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub u64);

impl Identity {
    /// Of a name, whose parts cannot be mistaken for one another.
    pub(crate) fn of(parts: &[&str]) -> Self {
        Self(parts.iter().fold(0, |hash, part| mix_bytes(hash, part.as_bytes())))
    }

    /// Of a backend: an endpoint of a cluster.
    pub(crate) fn of_backend(cluster: &Cluster, endpoint: &Endpoint) -> Self {
        Self::of_backend_at(&cluster.name, &endpoint.address)
    }

    /// The same by what both are called.
    pub(crate) fn of_backend_at(cluster: &str, address: &Address) -> Self {
        Self::of(&["backend", cluster, &address.to_string()])
    }

    /// Of the table that VIPs reach a cluster's members of a family by.
    pub(crate) fn of_table(cluster: &Cluster, family: Family) -> Self {
        Self::of(&["table", &cluster.name, family.name()])
    }

    /// Of the service of a VIP's addresses of a family.
    pub(crate) fn of_service(vip: &str, family: Family) -> Self {
        Self::of(&["service", vip, family.name()])
    }
}
