//! Tasks of one worker that wait for the same thing.

use core::{cell::RefCell, future::poll_fn, task::Poll};

use crate::{Ring, TaskId};

/// Something tasks wait for: a limit that frees up, a flag that flips.
#[derive(Default)]
pub struct Signal {
    waiting: RefCell<Vec<TaskId>>,
}

impl Signal {
    /// Waits for the next [`Signal::notify`]. May also return without one: look again at what you wait for.
    pub async fn wait(&self, ring: &Ring) {
        let mut waited = false;
        poll_fn(|_| {
            if core::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(ring.task());
            Poll::Pending
        })
        .await;
    }

    /// Lets all who wait look again.
    pub fn notify(&self, ring: &Ring) {
        for task in self.waiting.borrow_mut().drain(..) {
            ring.wake(task);
        }
    }
}
