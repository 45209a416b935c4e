//! Who performs the operations: the kernel or the simulation, chosen once when the ring is made and dispatched by a two-armed enum, so that
//! nothing above has a type parameter for IO.

use core::time::Duration;
use model::{Address, Instant};

use crate::{
    Bell, Completion, Descriptor, Errno, Fd, KernelCipher, Kind, Op, Token,
    passed::Passed,
    sim::Sim,
    uring::{Uring, tcp},
};

/// The performer of operations.
pub(crate) enum Backend {
    Uring(Box<Uring>),
    Sim(Box<Sim>),
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Backend::Uring(backend) => backend.$method($($argument),*),
            Backend::Sim(backend) => backend.$method($($argument),*),
        }
    };
}

impl Backend {
    /// Queues an operation; it starts at the latest in the next `wait`.
    #[inline]
    pub(crate) fn submit(&mut self, slot: u32, op: Op) {
        either!(self.submit(slot, op));
    }

    /// Starts what is queued and gathers completions; waits for at least one when `block`, until `deadline` at the latest.
    #[inline]
    pub(crate) fn wait(&mut self, block: bool, deadline: Instant, completions: &mut Vec<Completion>) {
        either!(self.wait(block, deadline, completions));
    }

    /// The monotonic clock.
    pub(crate) fn now(&self) -> Instant {
        either!(self.now())
    }

    /// Time since 1970.
    pub(crate) fn wall_clock(&self) -> Duration {
        either!(self.wall_clock())
    }

    /// An unconnected socket that can reach `address`, with the options an upstream connection has.
    pub(crate) fn socket(&mut self, address: &Address) -> Result<Fd, Errno> {
        either!(self.socket(address))
    }

    /// The address of a connected socket's peer.
    pub(crate) fn peer(&self, fd: Fd) -> Result<Address, Errno> {
        either!(self.peer(fd))
    }

    /// A connected socket's own address.
    pub(crate) fn local(&self, fd: Fd) -> Result<Address, Errno> {
        either!(self.local(fd))
    }

    /// Closes our sending half, at once: as an operation of the ring it would go to a kernel thread of its own.
    pub(crate) fn finish(&mut self, fd: Fd) {
        either!(self.finish(fd));
    }

    /// Has the kernel seal what is sent on `fd` from now on; nothing of before may be unsent. Refused, nothing has changed.
    pub(crate) fn encrypt(&mut self, fd: Fd, cipher: Box<dyn KernelCipher>) -> Result<(), Errno> {
        match self {
            Self::Uring(uring) => uring.encrypt(fd, &*cipher),
            Self::Sim(sim) => sim.encrypt(fd, cipher),
        }
    }

    /// The number of the next record that the kernel seals on `fd`.
    pub(crate) fn sealed_sequence(&self, fd: Fd) -> Result<u64, Errno> {
        either!(self.sealed_sequence(fd))
    }

    /// Whether a connection at rest is still silent and open: no byte, no close, no error has come.
    pub(crate) fn is_quiet(&self, fd: Fd) -> bool {
        either!(self.is_quiet(fd))
    }

    /// Bytes ever given to the kernel for a TCP socket to send.
    pub(crate) fn written(&self, fd: Fd) -> Result<u64, Errno> {
        match self {
            Self::Uring(_) => tcp::written(fd),
            Self::Sim(sim) => sim.written(fd),
        }
    }

    /// Those of them that the peer has not acknowledged.
    pub(crate) fn unacknowledged(&self, fd: Fd) -> Result<u64, Errno> {
        match self {
            Self::Uring(_) => tcp::unacknowledged(fd),
            Self::Sim(sim) => sim.unacknowledged(fd),
        }
    }

    /// Receives what waits at a socket, about `bytes_max` of it, and gives it to another, as far as that takes it at once.
    pub(crate) fn pass(&mut self, from: Fd, to: Fd, bytes_max: u64) -> Passed {
        match self {
            Self::Uring(_) => tcp::pass(from, to, bytes_max),
            Self::Sim(sim) => sim.pass(from, to, bytes_max),
        }
    }

    /// A number that no other socket ever has.
    pub(crate) fn cookie(&self, fd: Fd) -> Result<u64, Errno> {
        match self {
            Self::Uring(_) => tcp::cookie(fd),
            Self::Sim(_) => Ok(crate::sim::cookie(fd)),
        }
    }

    /// Lets no new handshake begin at a listening socket; those under way go on.
    pub(crate) fn refuse_handshakes(&mut self, listener: Fd) {
        either!(self.refuse_handshakes(listener));
    }

    /// Takes a connection that waits at a listening socket with no Accept outstanding; `EAGAIN` when none does.
    pub(crate) fn accept_waiting(&mut self, listener: Fd) -> Result<Fd, Errno> {
        either!(self.accept_waiting(listener))
    }

    /// Whether a reception that found no buffer might find one now.
    pub(crate) fn has_buffers(&self) -> bool {
        either!(self.has_buffers())
    }

    /// A bell that any thread may ring.
    pub(crate) fn bell(&mut self) -> Result<Bell, Errno> {
        either!(self.bell())
    }

    /// An owner for a socket that leaves the reactor's table.
    pub(crate) fn descriptor(&self, fd: Fd) -> Descriptor {
        match self {
            Self::Uring(_) => Uring::descriptor(fd),
            Self::Sim(sim) => sim.descriptor(fd),
        }
    }

    /// Whether Splice may be used.
    pub(crate) fn splices(&self) -> bool {
        either!(self.splices())
    }

    /// Whether one more Splice may wait.
    pub(crate) fn has_lane(&self) -> bool {
        either!(self.has_lane())
    }
}

impl Op {
    /// What identifies it, for the socket in `slot`.
    pub(crate) fn token(&self, slot: u32) -> Token {
        let kind = match self {
            Self::Accept { .. } => Kind::Accept,
            Self::Receive { .. } => Kind::Receive,
            Self::Send { .. } => Kind::Send,
            Self::Connect { .. } => Kind::Connect,
            Self::Splice { .. } => Kind::Splice,
            Self::Hangup { .. } => Kind::Hangup,
            Self::Watch { .. } => Kind::Watch,
            Self::Goodbye { .. } => Kind::Goodbye,
            Self::Close { .. } => Kind::Close,
            Self::Cancel { target: Token { kind: Kind::Accept | Kind::Watch, .. } } => Kind::Forget,
            Self::Cancel { .. } => Kind::Cancel,
        };
        Token { kind, slot }
    }
}
