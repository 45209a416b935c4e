//! An error as data: whose fault, how much it takes down, whether the request may be tried again.

use crate::Cause;

/// What went wrong on the data path. `Copy`, comparable, no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What exactly; status, reason, counter and flag follow from it.
    pub cause: Cause,
    /// What must go down with it.
    pub scope: Scope,
    /// Whose doing it was.
    pub blame: Blame,
    /// Whether the request it hit may be sent to another endpoint.
    pub retry: Retry,
}

/// What a fault takes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This exchange; the connection can serve others.
    Stream,
    /// The whole connection.
    Connection,
}

/// Whose doing a fault was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The downstream client's.
    Client,
    /// The upstream origin's.
    Origin,
    /// Ours: a limit, a drain, a bug.
    Us,
}

/// Whether a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The origin can not have acted on it.
    Safe,
    /// The origin may have acted on it: only an idempotent method may be repeated.
    Unsafe,
}

impl Fault {
    /// The client broke the protocol: its connection ends.
    pub fn client(cause: Cause) -> Self {
        Self { cause, scope: Scope::Connection, blame: Blame::Client, retry: Retry::Unsafe }
    }

    /// The origin failed after it may have seen the request.
    pub fn origin(cause: Cause) -> Self {
        Self { cause, scope: Scope::Connection, blame: Blame::Origin, retry: Retry::Unsafe }
    }

    /// Our own doing.
    pub fn us(cause: Cause) -> Self {
        Self { cause, scope: Scope::Stream, blame: Blame::Us, retry: Retry::Unsafe }
    }

    /// The same fault, of an origin that cannot have acted on the request.
    #[must_use]
    pub fn safe(self) -> Self {
        Self { retry: Retry::Safe, ..self }
    }
}
