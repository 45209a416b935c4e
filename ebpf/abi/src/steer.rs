//! Steering into our own listeners: which listener takes a VIP's connections, and which worker a connection goes to.
//!
//! The listening sockets of one bind, one for each worker, are a *group*; it has a number. `SERVICE_GROUPS` (array by service, `u32`: one more
//! than the group's number, 0 for none), `BINDS` (hash, [`Bind`] -> group), `WORKER_SOCKETS` (sock map by group times [`STEER_WORKERS`] and
//! worker; a VIP's connections are given to worker 0's, and the kernel then asks the second program which of the group has it), `CPU_WORKERS` (array by
//! CPU, `u32`: one more than the worker's number, 0 for none), `FULL` (array by worker, `u32`: 1 when it holds more than its part),
//! `WORKERS` (array of one, `u32`: how many there are). Sockets leave their maps by themselves when they are closed.

use crate::Address;

/// What a listening socket is bound to: address (none for any) and port in this machine's order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bind {
    /// Of any IPv4 address: the mapped address of `0.0.0.0`.
    pub address: Address,
    /// The port.
    pub port: u32,
}

/// Groups of listening sockets.
pub const STEER_GROUPS: u32 = 1024;

/// Workers of one process that are steered to; connections of others go by hash.
pub const STEER_WORKERS: u32 = 64;

/// CPUs whose worker is known; connections that others got go by hash.
pub const STEER_CPUS: u32 = 1024;

/// What happened to packets that open connections on their way to a worker: `STEERED` (per-CPU array of `u64`). With SYN cookies the client's
/// acknowledgement is one of them too.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteerCount {
    /// A VIP's came to its listener.
    Listener,
    /// The VIP's listener had no socket.
    NoListener,
    /// Went to the worker of its CPU.
    ByCpu,
    /// Went by hash: its CPU has no worker.
    NoWorker,
    /// Went by hash: its CPU's worker holds more than its part.
    Full,
}

impl SteerCount {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Listener, Self::NoListener, Self::ByCpu, Self::NoWorker, Self::Full];

    /// The counter's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listener => "to_listener",
            Self::NoListener => "no_listener",
            Self::ByCpu => "by_cpu",
            Self::NoWorker => "no_worker",
            Self::Full => "worker_full",
        }
    }

    /// What a person is told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Listener => "A packet that opens a connection to a VIP came to the VIP's listener.",
            Self::NoListener => "The VIP's listener had no socket for it.",
            Self::ByCpu => "A packet that opens a connection went to the worker of its CPU.",
            Self::NoWorker => "It went by hash, since its CPU has no worker.",
            Self::Full => "It went by hash, since the worker of its CPU holds more than its part.",
        }
    }
}

const _: () = assert!(size_of::<Bind>() == 20);
