//! HTTP/2 without IO. See `connection.rs`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
extern crate alloc;

mod code;
mod frame;
mod hpack;
mod limits;
mod priority;
