//! How another thread says "look into your mailbox": an eventfd in production, a flag in the simulation.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// May be rung from any thread; a worker watches it with [`Op::Watch`](crate::Op::Watch).
#[derive(Clone, Debug)]
pub enum Bell {
    /// The kernel's.
    Event(Arc<OwnedFd>),
    /// The simulation's.
    Flag(Arc<AtomicBool>),
}

impl Bell {
    /// Rings it. Rings are not counted: one look serves all before it.
    pub fn ring(&self) {
        match self {
            Self::Event(descriptor) => {
                // The only possible failure is a full counter (EAGAIN): then it is ringing already.
                let _written = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
            }
            Self::Flag(flag) => flag.store(true, Ordering::Release),
        }
    }
}
