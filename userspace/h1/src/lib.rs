//! HTTP/1.x without IO: bytes in, [`model::Part`]s out, Parts in, bytes out. One [`Connection`] for either side.
//!
//! Why our own: a general library costs more than all the rest of a proxied request. Head parsing is httparse's; what stands here is what
//! httparse leaves open, which is everything that smuggling lives from: line ends, framing, targets, Host, hop-by-hop fields, chunks
//! (RFC 9112, RFC 9110). Ambiguous messages are refused, never repaired, and whatever is forwarded is written anew from what was
//! understood (length, Host, chunk framing), so that the next party cannot read another message than we did.
//!
//! It must never panic on bytes of a peer, never look at a head twice because it came in small pieces, never copy a body.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
extern crate alloc;

mod chunked;
mod connection;
mod fields;
mod framing;
mod freeze;
mod head;
mod raw;
mod receive;
mod request;
mod response;
mod section;
mod send;
mod source;
mod target;

pub use chunked::{CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX};
pub use connection::{Connection, Settings};
pub use fields::CONNECTION_OPTIONS_MAX;
pub use freeze::Frozen;
pub use receive::{EMPTY_LINES_MAX, INTERIM_RESPONSES_MAX};
pub use send::Sent;
