//! The means to join sockets in the kernel, for configurations whose clusters ask for it.

use config::Snapshot;

/// Whether any cluster asks for it.
pub(crate) fn is_wanted(snapshot: &Snapshot) -> bool {
    snapshot.clusters().any(|cluster| cluster.redirect.is_some())
}

/// One for each worker; none where it cannot be, which is said: then userspace carries everything.
pub(crate) fn load(workers: usize) -> Vec<Box<dyn io::Redirect + Send>> {
    let load = |_| l4::Redirect::load().map(|redirect| Box::new(redirect) as Box<dyn io::Redirect + Send>);
    (0..workers).map(load).collect::<Result<_, _>>().unwrap_or_else(|error| {
        tracing::warn!("`redirect` is not to be had, userspace carries all bytes: {error}");
        Vec::new()
    })
}
