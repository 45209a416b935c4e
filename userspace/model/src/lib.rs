//! The words every room speaks: what a message is made of ([`Part`], [`Head`], [`Fields`]), whose fault something was ([`Fault`],
//! [`Cause`]), what one connection and one exchange leave behind ([`Record`]), how much of anything is allowed ([`HeadLimits`]).
//!
//! Plain data, no IO, no clock: time is an argument ([`Instant`]).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

mod address;
mod cause;
mod fault;
mod fields;
pub mod grammar;
mod head;
mod limits;
mod name;
mod part;
mod record;
mod time;

pub use address::{Address, Network};
pub use cause::Cause;
pub use fault::{Blame, Fault, Retry, Scope};
pub use fields::{Field, Fields, Span};
pub use head::{Body, Head, Method, RequestLine, Scheme, Start, StatusLine, Text, reason_phrase};
pub use limits::HeadLimits;
pub use name::Name;
pub use part::{Part, StreamId};
pub use record::{Attempt, ConnectionRecord, Phases, Record, RecordId};
pub use time::Instant;
