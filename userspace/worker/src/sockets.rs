//! Listening sockets: opened and checked before a change is committed, one for each worker and address.

use config::{Name, Snapshot};
use io::{Descriptor, ListenError, ListenOptions, listen};
use model::Address;
use std::{collections::BTreeSet, os::fd::OwnedFd};

/// Connections that may wait to be accepted; `net.core.somaxconn` caps it.
const BACKLOG: i32 = 4096;

/// What is listened on now.
#[derive(Debug, Default)]
pub struct Sockets {
    open: BTreeSet<(Name, Address)>,
}

/// What a configuration needs beyond that, not yet in use.
#[derive(Debug)]
pub struct Opened {
    /// For each worker its sockets.
    pub workers: Vec<Vec<(Name, Address, Descriptor)>>,
    /// What it listens on no longer.
    pub closed: Vec<(Name, Address)>,
    /// What is listened on once it is committed.
    pub wanted: BTreeSet<(Name, Address)>,
}

impl Sockets {
    /// Opens what `snapshot` needs for `workers` workers. On an error nothing stays open.
    pub fn open(&self, snapshot: &Snapshot, workers: usize) -> Result<Opened, ListenError> {
        let wanted: BTreeSet<_> = snapshot
            .listeners
            .values()
            .flat_map(|listener| listener.binds.iter().map(|bind| (Name::clone(&listener.name), bind.clone())))
            .collect();
        let closed: Vec<_> = self.open.difference(&wanted).cloned().collect();
        let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for (name, address) in wanted.difference(&self.open) {
            // An address that only changes its listener is ours already.
            let ours = self.open.iter().any(|(_, open)| open == address);
            let sockets = open_group(address, workers, ours)?;
            for (share, socket) in shares.iter_mut().zip(sockets) {
                share.push((Name::clone(name), address.clone(), Descriptor::Kernel(socket)));
            }
        }
        Ok(Opened { workers: shares, closed, wanted })
    }

    /// The workers have them.
    pub fn commit(&mut self, wanted: BTreeSet<(Name, Address)>) {
        self.open = wanted;
    }
}

/// One socket for each worker. Another process of the same user could share the address silently and take its part of the traffic: so a
/// socket that shares with nobody is tried first.
fn open_group(address: &Address, workers: usize, ours: bool) -> Result<Vec<OwnedFd>, ListenError> {
    match address {
        Address::Tcp(_) => {
            if !ours {
                drop(listen(address, ListenOptions { backlog: 1, shared: false })?);
            }
            (0..workers).map(|_| listen(address, ListenOptions { backlog: BACKLOG, shared: true })).collect()
        }
        Address::Unix(path) => {
            remove_stale(path);
            let socket = listen(address, ListenOptions { backlog: BACKLOG, shared: false })?;
            let failed = |error| ListenError { address: address.clone(), error };
            (0..workers).map(|_| socket.try_clone().map_err(failed)).collect()
        }
    }
}

/// A socket file that nobody answers on is left over from a process that is gone.
fn remove_stale(path: &str) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| std::os::unix::fs::FileTypeExt::is_socket(&data.file_type()));
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        // When it cannot be removed, binding says why.
        drop(std::fs::remove_file(path));
    }
}
