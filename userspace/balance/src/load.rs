//! How many requests an endpoint is working on, as seen by this worker.

use alloc::rc::Rc;
use core::cell::Cell;

/// An endpoint's count of active requests.
#[derive(Clone, Debug, Default)]
pub struct Load(Rc<Cell<u32>>);

impl Load {
    /// How many requests are active.
    pub fn active(&self) -> u32 {
        self.0.get()
    }

    /// One more, until the pick is dropped.
    pub(crate) fn pick(&self, index: usize) -> Pick {
        self.0.set(self.0.get().saturating_add(1));
        Pick { index, load: self.clone() }
    }
}

/// A chosen endpoint. Dropping it gives its load back.
#[derive(Debug)]
#[must_use = "dropping a pick ends the request it stands for"]
pub struct Pick {
    index: usize,
    load: Load,
}

impl Pick {
    /// Which of the balancer's members, in the order they were given. Means nothing after a rebuild.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The load this pick is counted in.
    pub fn load(&self) -> &Load {
        &self.load
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.load.0.set(self.load.0.get().saturating_sub(1));
    }
}
