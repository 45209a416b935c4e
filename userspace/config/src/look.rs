//! One look at an endpoint that somebody wants who cannot look: the kernel layer, which has the way, asks the engine, which speaks what is spoken over
//! it. Both layers know configurations and not each other, so what goes between them stands here.

use core::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc;

use crate::{ClusterSlot, HealthCheck, Name};

/// One look at an endpoint.
#[derive(Debug)]
pub struct Look {
    /// Its cluster.
    pub cluster: ClusterSlot,
    /// Its name.
    pub endpoint: Name,
    /// What is asked.
    pub check: HealthCheck,
    /// Whom a client would ask: the VIP, or the origin itself.
    pub to: SocketAddr,
    /// The connection to it, by whatever way it is; `None`: it is to be made.
    pub over: Option<OwnedFd>,
    /// Told whether it is well, or why not; dropped, when nobody could look.
    pub answer: mpsc::Sender<Result<(), String>>,
}
