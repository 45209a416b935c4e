//! The real program between real clients and real origins, on the kernel of this machine.
//!
//! This crate starts and asks the processes; the tests stand in `tests/`, one theme each. Whatever a test starts ends with it, also when it
//! fails. Nothing here knows a crate of Sluice: what cannot be seen from outside is not tested here.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "these tests live in real time")]

mod admin;
mod binary;
mod client;
mod descriptors;
mod origin;
mod patience;
mod pattern;
mod ports;
mod scripted;
mod sluice;

pub use admin::{Admin, Metrics};
pub use binary::sluice_command;
pub use client::{Client, Response, read_message};
pub use descriptors::{allow_descriptors, alone};
pub use origin::Origin;
pub use patience::{PATIENCE, eventually, pause, run};
pub use pattern::pattern;
pub use ports::free_address;
pub use rustix::process::Signal;
pub use scripted::{Scripted, Seen, Turn};
pub use sluice::{Setup, Sluice};
