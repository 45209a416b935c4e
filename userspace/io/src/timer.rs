//! A timer that is cheap to put off: moving it to a later moment touches nothing but the moment it wants; the wheel finds out when it comes by.

use core::{future::poll_fn, task::Poll};
use model::Instant;

use crate::{Ring, reactor::Alarm, wheel::TimerId};

/// One deadline, of one task at a time.
pub struct Timer {
    ring: Ring,
    id: TimerId,
}

impl Timer {
    pub(crate) fn new(ring: &Ring) -> Self {
        let alarm = Alarm { wanted: Instant::NEVER, task: ring.task() };
        Self { ring: ring.clone(), id: ring.with(|reactor| reactor.timers.insert(alarm)) }
    }

    /// Sets it, or moves it, to `at` (`NEVER`: off). The running task will be woken.
    pub fn set(&self, at: Instant) {
        let task = self.ring.task();
        self.ring.with(|reactor| reactor.set_timer(self.id, at, task));
    }

    /// Ready when its moment has come; else the running task is woken then. Never early.
    pub fn poll_expired(&self) -> Poll<()> {
        let (now, task) = (self.ring.now(), self.ring.task());
        self.ring.with(|reactor| {
            let alarm = reactor.timers.carried(self.id);
            if alarm.wanted <= now {
                return Poll::Ready(());
            }
            alarm.task = task;
            Poll::Pending
        })
    }

    /// Awaits `future` until `at` at the latest; `None` when the time came first.
    pub async fn within<T>(&self, at: Instant, future: impl Future<Output = T>) -> Option<T> {
        self.set(at);
        let mut future = core::pin::pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll_expired().map(|()| None),
        })
        .await
    }

    /// [`Timer::poll_expired`] as a future.
    pub async fn expired(&self) {
        poll_fn(|_| self.poll_expired()).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.ring.with(|reactor| reactor.timers.remove(self.id));
    }
}
