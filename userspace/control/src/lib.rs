//! The control side: everything beside the traffic. Admin API, configuration from its files to the workers, access log, signals, service manager.
//!
//! Ordinary async (tokio-uring: files and log writing through the ring, sockets through tokio) on a thread of its own, niced below the workers.
//! It never makes a worker wait: what comes from the workers are counters that are read and queues that are bounded, what goes to them is
//! said through an [`Engine`].
#![forbid(unsafe_code)]
extern crate alloc;

mod admin;
mod client;
mod clock;
mod configuration;
mod desk;
mod expiries;
mod log;
mod notify;
mod rotation;
mod run;
mod status;
mod watch;

pub use admin::{ClusterView, ConfigView, DoorError, Doors, EndpointView, ListenerView, RefusalView};
pub use client::{Answer, Client, ClientError};
pub use configuration::{Candidate, Engine, read};
pub use run::{Ending, Error, Handles, Notices, Options, run};
