//! What has come for one exchange of a connection that carries many, and who waits for it.

use core::cell::{Cell, RefCell};
use io::{Ring, Waiter};
use model::{Fault, Part};
use std::collections::VecDeque;

/// The receiving end of an exchange. The connection's task puts in, the exchange takes out; windows bound what lies here.
#[derive(Default)]
pub(crate) struct Inlet {
    parts: RefCell<Parts>,
    /// Why nothing more comes, and nothing can be sent.
    fault: Cell<Option<Fault>>,
    ended: Cell<bool>,
    waiter: Waiter,
}

/// Nearly always none or one.
#[derive(Default)]
struct Parts {
    first: Option<Part>,
    rest: VecDeque<Part>,
}

impl Inlet {
    pub(crate) fn put(&self, part: Part, ring: &Ring) {
        if part.is_end() {
            self.ended.set(true);
        }
        let mut parts = self.parts.borrow_mut();
        if parts.first.is_none() {
            parts.first = Some(part);
        } else {
            parts.rest.push_back(part);
        }
        self.waiter.wake(ring);
    }

    pub(crate) fn take(&self) -> Option<Part> {
        let mut parts = self.parts.borrow_mut();
        let first = parts.first.take();
        parts.first = parts.rest.pop_front();
        first
    }

    /// It is over before its time. The first fault is the one that counts: what breaks later says less of what became of this exchange. What lies
    /// here is of no use to anyone, but for a whole response, whatever happens behind it.
    pub(crate) fn fail(&self, fault: Fault, is_response: bool, ring: &Ring) {
        if self.fault.get().is_some() {
            return;
        }
        if !(is_response && self.ended.get()) {
            *self.parts.borrow_mut() = Parts::default();
        }
        self.fault.set(Some(fault));
        self.waiter.wake(ring);
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Whether the peer's message is complete.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The running task is woken when anything changes.
    pub(crate) fn wait(&self, ring: &Ring) {
        self.waiter.wait(ring);
    }

    pub(crate) fn wake(&self, ring: &Ring) {
        self.waiter.wake(ring);
    }

    /// Moves to the heap what still stands in receive buffers; gives the bytes copied.
    pub(crate) fn move_to_heap(&self) -> usize {
        let parts = &mut *self.parts.borrow_mut();
        parts.first.iter_mut().chain(&mut parts.rest).map(|part| if let Part::Data(data) = part { data.move_to_heap() } else { 0 }).sum()
    }
}
