//! The kernel layer, seen from userspace: from a Snapshot to what the kernel's maps must hold, and how they get there.
//!
//! Everything that decides is pure: tables ([`Maglev`]), what each slot remembers, the plan. Only the loader touches the kernel.
#![forbid(unsafe_code)]

extern crate alloc;

mod maglev;
mod mix;
pub mod programs;

pub use maglev::{Maglev, Member, TableSize};
