//! Streams: what each of them has come to (`stream`), which there are (`table`), which there were (`closed`), how much may flow (`flow`), whose
//! turn it is (`schedule`); and what frames do to them (`recv`) and what is sent on them (`send`).

mod closed;
mod flow;
mod recv;
mod schedule;
mod send;
mod stream;
mod table;

pub(crate) use closed::Closed;
pub(crate) use flow::{ReceiveWindow, SendWindow};
pub use recv::INTERIM_RESPONSES_MAX;
pub(crate) use schedule::Schedule;
pub(crate) use send::QUEUE_BYTES_MAX;
pub use send::Sent;
pub(crate) use stream::{Receiving, Sending, Stream, UNKNOWN};
pub(crate) use table::Table;
