//! The real program between real clients and real origins, on the kernel of this machine.
//!
//! This crate starts and asks the processes; the tests stand in `tests/`, one theme each. Whatever a test starts ends with it, also when it
//! fails. Nothing here knows a crate of Sluice: what cannot be seen from outside is not tested here.
#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "these tests live in real time")]

mod admin;
mod authority;
mod binary;
mod client;
mod descriptors;
mod frames;
mod load;
mod origin;
mod patience;
mod pattern;
mod ports;
mod python;
mod scripted;
mod sides;
mod sluice;
mod stage;
mod wire;

pub use admin::{Admin, Metrics};
pub use authority::{Authority, Pair};
pub use binary::sluice_command;
pub use client::{Client, Response, read_message};
pub use descriptors::{allow_descriptors, alone};
pub use frames::{Target, frame, frames};
pub use load::{load, tally};
pub use origin::Origin;
pub use patience::{PATIENCE, eventually, pause, run};
pub use pattern::pattern;
pub use ports::free_address;
pub use python::{Ending, python, run_python};
pub use rustix::process::Signal;
pub use scripted::{Scripted, Seen, Turn};
pub use sides::{SIDES, Sides};
pub use sluice::{Setup, Sluice};
pub use stage::{HOSTS, Stage, WAYS, Way};
pub use wire::{Came, Wire};
