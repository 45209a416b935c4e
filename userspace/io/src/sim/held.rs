//! A simulated descriptor outside of any ring.

use std::sync::Arc;

use crossbeam::queue::SegQueue;

use crate::Fd;

/// An open simulated socket that belongs to no ring. Dropping it closes it, as dropping an `OwnedFd` does; `Send` like that.
#[derive(Debug)]
pub struct Held {
    fd: Fd,
    /// Where its world finds what was dropped; none once the descriptor was given on.
    dropped: Option<Arc<SegQueue<Fd>>>,
}

impl Held {
    pub(super) fn new(fd: Fd, dropped: Arc<SegQueue<Fd>>) -> Self {
        Self { fd, dropped: Some(dropped) }
    }

    /// Its number.
    pub fn fd(&self) -> Fd {
        self.fd
    }

    /// Gives it on without closing it.
    pub(crate) fn into_fd(mut self) -> Fd {
        self.dropped = None;
        self.fd
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.push(self.fd);
        }
    }
}
