//! Tasks of one worker that wait for something: many for the same ([`Signal`]), or one ([`Waiter`]).

use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::Poll,
};

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

/// The one task that waits for something.
pub struct Waiter {
    task: Cell<TaskId>,
}

impl Default for Waiter {
    fn default() -> Self {
        Self { task: Cell::new(TaskId::NONE) }
    }
}

impl Waiter {
    /// The running task is woken by the next [`Waiter::wake`].
    pub fn wait(&self, ring: &Ring) {
        self.task.set(ring.task());
    }

    /// Lets it go on.
    pub fn wake(&self, ring: &Ring) {
        let task = self.task.replace(TaskId::NONE);
        if task != TaskId::NONE {
            ring.wake(task);
        }
    }
}
