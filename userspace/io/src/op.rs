//! The seam between the reactor and whatever performs its operations: the kernel's io_uring, or the simulation. An [`Op`] goes down, one or
//! more [`Completion`]s with the same [`Token`] come up. The operation owns its buffers until its last completion.

use buf::Chunk;
use core::fmt;
use model::Address;

use crate::Bell;

/// A socket, as its backend numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd(pub i32);

/// Which operation a completion belongs to: what kind, and the slot of the socket it was for. A socket has at most one operation of a kind
/// outstanding, and its slot is not reused before the last of them has ended: so this is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// What was asked.
    pub kind: Kind,
    /// For which slot.
    pub slot: u32,
}

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is an Op")]
pub enum Kind {
    Accept,
    Receive,
    Send,
    Connect,
    Splice,
    Hangup,
    Watch,
    Close,
    /// The Cancel of a socket's operation: counted, since the slot must wait for it.
    Cancel,
    /// The Cancel of an Accept or Watch, whose slot may be free before it answers.
    Forget,
    Goodbye,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Accept,
        Self::Receive,
        Self::Send,
        Self::Connect,
        Self::Splice,
        Self::Hangup,
        Self::Watch,
        Self::Close,
        Self::Cancel,
        Self::Forget,
        Self::Goodbye,
    ];

    /// The kind of that discriminant.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// An operation to perform.
#[derive(Debug)]
pub enum Op {
    /// Accept connections until cancelled or an error: one completion each, `more` while it goes on.
    Accept {
        /// A listening socket.
        fd: Fd,
    },
    /// Receive into the arena until `credit` bytes have come, the peer has closed, or it is cancelled: one completion for each reception.
    /// A backend without credits may end after any reception. An empty chunk is the peer's close.
    Receive {
        /// A connected socket.
        fd: Fd,
        /// Bytes, above 0.
        credit: u32,
    },
    /// Send `pieces` in order. On a socket whose records the kernel seals it may end early even with `wait`, and none is the `last`.
    Send {
        /// A connected socket.
        fd: Fd,
        /// Not empty, no piece empty.
        pieces: Vec<Chunk>,
        /// `false`: send what fits now, complete at once with that count or `EAGAIN`. `true`: complete when all is sent.
        wait: bool,
        /// Our half is closed right after: the end may travel with the last bytes, in one packet.
        last: bool,
    },
    /// Connect.
    Connect {
        /// From `Backend::socket` for that address.
        fd: Fd,
        /// Where to.
        address: Address,
    },
    /// Move bytes from one connected socket to another inside the kernel. Completes with a count once something was moved and no more can be
    /// at once, or `length` is reached; with 0 when `from` has ended. Neither socket may have a Receive (from) or Send (to) outstanding.
    Splice {
        /// Where bytes come from.
        from: Fd,
        /// Where they go.
        to: Fd,
        /// At most so many.
        length: u64,
    },
    /// Wait until the peer has closed its half or the connection is broken, whatever bytes come meanwhile.
    Hangup {
        /// A connected socket.
        fd: Fd,
    },
    /// Tell the peer, on a socket whose records the kernel seals, that nothing more comes. Completes when that and all before it is in TCP's
    /// hands: before that nothing may be closed.
    Goodbye {
        /// A connected socket.
        fd: Fd,
        /// Bytes that Sends and Splices have brought there since the kernel seals.
        given: u64,
        /// `false`: what cannot be done at once ends with `EAGAIN`.
        wait: bool,
    },
    /// One completion each time the bell has been rung since the last (several rings may be one completion).
    Watch {
        /// The bell.
        bell: Bell,
    },
    /// Close the descriptor. The last operation of its slot.
    Close {
        /// Any socket.
        fd: Fd,
        /// Drop what is unsent and reset the connection.
        reset: bool,
    },
    /// End another operation early: it completes with `ECANCELED`, unless it was just done.
    Cancel {
        /// The operation.
        target: Token,
    },
}

/// What became of an operation.
#[derive(Debug)]
pub struct Completion {
    /// Which one.
    pub token: Token,
    /// What happened.
    pub outcome: Outcome,
    /// Further completions of the same operation will come.
    pub more: bool,
}

/// The result of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// Of an Accept: a connection, or why none can be had (`EMFILE`, `ENFILE`, `ECANCELED`, ...).
    Accepted(Result<Fd, Errno>),
    /// Of a Receive: bytes; empty at the peer's close; `ENOBUFS` when the arena ran dry.
    Received(Result<Chunk, Errno>),
    /// Of a Send: bytes sent, and the pieces back.
    Sent(Result<u32, Errno>, Vec<Chunk>),
    /// Of the others: a count where there is one.
    Done(Result<u64, Errno>),
}

/// An error number of the kernel's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

#[expect(missing_docs, reason = "their names are errno's names")]
impl Errno {
    pub const AGAIN: Self = Self(libc::EAGAIN);
    pub const CANCELED: Self = Self(libc::ECANCELED);
    pub const BUSY: Self = Self(libc::EBUSY);
    pub const CONNREFUSED: Self = Self(libc::ECONNREFUSED);
    pub const CONNRESET: Self = Self(libc::ECONNRESET);
    pub const KEYEXPIRED: Self = Self(libc::EKEYEXPIRED);
    pub const MFILE: Self = Self(libc::EMFILE);
    pub const NFILE: Self = Self(libc::ENFILE);
    pub const NOBUFS: Self = Self(libc::ENOBUFS);
    pub const NOMEM: Self = Self(libc::ENOMEM);
    pub const PIPE: Self = Self(libc::EPIPE);
    pub const TIMEDOUT: Self = Self(libc::ETIMEDOUT);
}

impl Errno {
    /// The calling thread's last error.
    pub fn last() -> Self {
        Self::from(std::io::Error::last_os_error())
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(out)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}
