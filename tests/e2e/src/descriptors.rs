//! What tests with crowds need: file descriptors, and the machine for themselves.
#![expect(clippy::disallowed_types, reason = "tests in turn")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// From now on this process and those that it starts may have as many descriptors as the hard limit allows.
pub fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("a soft limit may be raised to the hard one");
}

/// Waits until no other test of this program is alone, and is alone then. Crowds would starve one another.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
