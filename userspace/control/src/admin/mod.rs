//! The admin API: a UNIX socket for everything, and a read-only TCP port.
//!
//! Answers that take work are given by the desks; what runs here only moves bytes, so that `/ready` is never late.

mod doors;
mod guard;
mod service;
mod views;

pub(crate) use doors::House;
pub use doors::{DoorError, Doors};
pub(crate) use service::{Lines, Office};
pub use views::{ClusterView, ConfigView, EndpointView, ListenerView, RefusalView};
