//! One worker's input and output: a ring with its reactor, a single-threaded executor, timers, and the handles that tasks hold.
//!
//! Read in this order: [`Op`] is the seam; `uring` and `sim` stand below it; `reactor` keeps the sockets; `executor` runs the tasks;
//! [`Ring`] is the loop that turns them; [`Stream`], [`Listener`], [`Timer`] and [`Mailbox`] are what the floors above see. Nothing above
//! this crate makes a system call on the data path, and nothing in it knows a protocol.

mod at_rest;
mod backend;
mod bell;
mod cipher;
mod connect;
mod executor;
mod layer;
mod listen;
mod listener;
mod mailbox;
mod op;
mod passed;
mod reactor;
mod redirect;
mod ring;
mod signal;
pub mod sim;
mod socket;
mod stream;
mod table;
mod timer;
pub mod uring;
mod wheel;

pub use at_rest::{AtRest, Descriptor};
pub use bell::Bell;
pub use cipher::{KernelCipher, RECORD_BYTES_MAX};
pub use executor::TaskId;
pub use layer::Layer;
pub use listen::{ListenError, ListenOptions, listen};
pub use listener::Listener;
pub use mailbox::{Mailbox, Post, mailbox};
pub use op::{Completion, Errno, Fd, Kind, Op, Outcome, Token};
pub use reactor::{Counts, ROOM_BYTES};
pub use redirect::{End, Joined, Moved, Redirect, Refused, Ways};
pub use ring::Ring;
pub use signal::{Signal, Waiter};
pub use stream::Stream;
pub use timer::Timer;
