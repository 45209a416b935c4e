//! File descriptors for crowds.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// From now on this process and those that it starts may have as many descriptors as the hard limit allows.
pub fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("a soft limit may be raised to the hard one");
}
