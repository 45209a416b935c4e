//! The rooms that a connection and its requests pass through, in the order of `docs/LIFE_OF_A_REQUEST.md`.
//!
//! `connection` takes a connection in; `inspect` learns who it comes from; `http` tells a request's story on one screen, with `request`,
//! `upstream`, `pump`, `reply` and `end` as its rooms; `tcp` is the short story of bytes. What a room may touch of its worker is the
//! [`House`]. No room makes a system call, reads a clock, or knows the HTTP version.
#![forbid(unsafe_code)]

mod cluster;
mod connection;
mod edits;
mod end;
mod forwards;
mod grpc;
mod handshake;
mod health;
mod house;
mod http;
mod inspect;
mod listener;
mod log;
mod multiplexed;
mod path;
mod probe;
mod proxy_protocol;
mod pump;
mod redirect;
mod reply;
mod request;
mod rest;
mod route;
mod scope;
mod tcp;
mod tries;
mod tunnel;
mod upgrade;
mod upstream;

pub use cluster::{Cluster, Endpoint};
pub use connection::serve;
pub use health::Health;
pub use house::{House, HouseOptions, Shared};
pub use listener::Listener;
pub use probe::look_for;
