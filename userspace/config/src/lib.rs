//! Native configuration: YAML or JSON in, an immutable [`Snapshot`] or every reason against it out.
//!
//! [`load`] reads the files and is the only IO here; [`compile`] is pure. Nothing in this crate owns a thread, a clock
//! or a global: what is live is the control side's business.
#![forbid(unsafe_code)]

extern crate alloc;

mod compile;
mod containers;
mod document;
mod effective;
mod load;
mod origin;
mod plain;
mod read;
mod record;
mod rejection;
mod resolve;
mod scalars;
mod schema;
mod shape;
mod snapshot;
mod suggest;
mod targets;
mod tree;
mod yaml;

pub use compile::compile;
pub use effective::effective;
pub use load::{Loaded, load, load_text};
pub use rejection::Rejection;
pub use schema::schema;
pub use snapshot::*;
