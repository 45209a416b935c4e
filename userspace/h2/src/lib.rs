//! HTTP/2 without IO: bytes in, [`model::Part`]s of many streams out; Parts in, bytes out. One [`Connection`] for either side.
//!
//! A driver feeds it what was received ([`Connection::receive`], until it gives nothing more), takes what is to be sent
//! ([`Connection::transmit`], when there is room for it), says what was consumed ([`Connection::consumed`]: windows follow it, so that
//! back-pressure reaches from end to end), and [releases](Connection::release) each stream it was told of or has opened. Content is never
//! copied, nothing is queued but what was given to be sent, and an idle connection holds nothing but its compression tables.
//!
//! RFC 9113 (HTTP/2), RFC 7541 (compression), RFC 8441 (extended CONNECT), RFC 9218 (priorities). It must never panic on bytes of a peer,
//! never keep more of them than a named [`Limit`] or window says, never pass on a message that two parties could read differently.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
extern crate alloc;

mod code;
mod connection;
mod control;
mod frame;
mod head;
mod hpack;
mod limits;
mod priority;
mod reading;
mod receive;
mod streams;
mod transmit;

pub use code::ErrorCode;
pub use connection::{Connection, Event, Settings, UNREAD_BYTES_MAX};
pub use frame::PREFACE;
pub use limits::{Limit, Rate, Rates};
pub use receive::CONTINUATIONS_MAX;
pub use streams::{INTERIM_RESPONSES_MAX, Sent};
