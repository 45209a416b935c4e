//! The waist: one request and its response on one connection, spoken in [`Part`](model::Part)s, whatever the HTTP version.
//!
//! [`Conn`] is a codec on a stream. [`Exchange`] is all that the rooms above know of it: `next` gives the peer's next Part and loses nothing
//! when dropped, `room` waits, `send` never does, and dropping an Exchange before both directions have ended is its reset. [`Pool`] keeps
//! idle upstream connections, and lends them to other workers. Nothing above this crate knows the HTTP version.
#![forbid(unsafe_code)]

mod conn;
mod exchange;
mod inlet;
mod multiplex;
mod pool;
mod serial;
mod transport;

pub use conn::{Arrival, Conn, Settings};
pub use exchange::Exchange;
pub use pool::{Lending, Opening, Pool, Taken, Traffic};
pub use transport::Transport;
