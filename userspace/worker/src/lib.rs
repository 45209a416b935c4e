//! A worker: one thread, one ring, one [`House`](proxy::House), and the tasks that keep them going. And the [`Fleet`] of all workers, as the
//! control side holds it.
//!
//! Workers share nothing on a request's way. What comes from outside are [`Change`]s, by mail: a configuration with the listening sockets it
//! opens, all or none, taken between two turns.
#![forbid(unsafe_code)]

mod fleet;
mod pulse;
mod sockets;
mod worker;

pub use fleet::{Fleet, FleetOptions, LOOKS_UNREAD_MAX, Listening, Lookers, StartError};
pub use pulse::Pulse;
pub use sockets::{Opened, Sockets};
pub use worker::{Change, Worker};
