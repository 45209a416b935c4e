//! What may move between workers: a connection without task, ring handle or anything else of its thread.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use crate::{Fd, sim::Held};

/// An open socket that belongs to no ring.
#[derive(Debug)]
pub enum Descriptor {
    /// The kernel's; closed when dropped.
    Kernel(OwnedFd),
    /// The simulation's; its world closes what was dropped.
    Simulated(Held),
}

impl Descriptor {
    /// Its number.
    pub fn fd(&self) -> Fd {
        match self {
            Self::Kernel(descriptor) => Fd(descriptor.as_raw_fd()),
            Self::Simulated(held) => held.fd(),
        }
    }

    pub(crate) fn into_fd(self) -> Fd {
        match self {
            Self::Kernel(descriptor) => Fd(descriptor.into_raw_fd()),
            Self::Simulated(held) => held.into_fd(),
        }
    }
}

/// A connection at rest: nothing received, nothing unsent, nothing outstanding. `Send`: any worker may take it over.
#[derive(Debug)]
pub struct AtRest {
    descriptor: Descriptor,
}

impl AtRest {
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor }
    }

    pub(crate) fn fd(&self) -> Fd {
        self.descriptor.fd()
    }

    pub(crate) fn into_descriptor(self) -> Descriptor {
        self.descriptor
    }
}
