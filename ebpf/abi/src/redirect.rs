//! Sockets that are joined in the kernel.
//!
//! `REDIRECTIONS` (hash, cookie of the socket that bytes come from -> [`Redirection`]): userspace writes the entry before either socket is in a
//! map of sockets and takes it away when the connection is over; in between only the program writes, under the lock of the socket that
//! bytes come from. `TARGETS` and `SOURCES` (hashes of sockets, by cookie): the program runs for those in `SOURCES` and sends to those in
//! `TARGETS`, where both are before either is a source. `FULL` (ring, `u64`: cookie): which direction has just begun to be kept.

/// One direction of two sockets that are joined.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redirection {
    /// Cookie of the socket that bytes go to.
    pub target: u64,
    /// What the target's count of acknowledged bytes comes to once everything that was written to it before is acknowledged.
    pub start: u64,
    /// Bytes that may be on their way to the target's peer: queued in the kernel, sent and not acknowledged.
    pub backlog_max: u64,
    /// Bytes redirected.
    pub redirected: u64,
    /// Bytes kept for userspace because the backlog was full. Once there are some, all that follow are kept.
    pub kept: u64,
}

const _: () = assert!(size_of::<Redirection>() == 40);
