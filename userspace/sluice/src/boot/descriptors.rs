//! File descriptors: as many as the process may have, and a word when they may not suffice.

use config::Snapshot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside connections and listening sockets: rings, logs, admin connections, watched folders, pipes.
const OTHERS: u64 = 512;

/// Raises the limit as far as it goes and says when the configuration may need more.
pub(crate) fn prepare(snapshot: &Snapshot, workers: usize) {
    let limit = raise();
    let needed = needed(snapshot, workers);
    match (needed, limit) {
        (Some(needed), Some(limit)) if needed > limit => tracing::warn!(
            "file descriptors: {needed} may be needed (each connection is two, one to an endpoint), {limit} are allowed; raise the hard limit \
             (LimitNOFILE= or ulimit -Hn), or lower limits.connections of the listeners"
        ),
        (None, Some(limit)) => {
            tracing::warn!("file descriptors: a listener's limits.connections is none, so any number may be needed; {limit} are allowed");
        }
        _ => {}
    }
}

/// The soft limit becomes the hard one; `None` is no limit.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!("the soft limit of file descriptors cannot be raised: {error}");
            current
        }
    }
}

/// When all listeners are full; `None` is any number.
fn needed(snapshot: &Snapshot, workers: usize) -> Option<u64> {
    let mut needed = OTHERS;
    for listener in snapshot.listeners.values() {
        needed += 2 * u64::from(listener.limits.connections?);
        // Two handles each: the worker's, and one for the kernel layer.
        needed += (2 * listener.binds.len() * workers) as u64;
    }
    Some(needed)
}
