//! Native configuration: YAML or JSON in, an immutable [`Snapshot`] or every reason against it out.
//!
//! [`load`] reads the files and is the only IO here; [`compile`] is pure. Nothing in this crate owns a thread, a clock
//! or a global: what is live is the control side's business.
#![forbid(unsafe_code)]

extern crate alloc;

mod snapshot;

pub use snapshot::*;
