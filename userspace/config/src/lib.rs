//! Native configuration: YAML or JSON in, an immutable [`Snapshot`] or every reason against it out.
//!
//! [`load`] reads the files and is the only IO here, but for a key log; [`compile`] is pure, but for ticket keys that it draws. Nothing in this crate owns a thread, a clock
//! or a global: what is live is the control side's business.
#![forbid(unsafe_code)]

extern crate alloc;

mod compile;
mod containers;
mod contents;
mod document;
mod effective;
mod key_log;
mod load;
mod look;
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
pub use load::{Loaded, load, load_after, load_text, load_text_after};
pub use look::Look;
pub use rejection::Rejection;
pub use schema::schema;
pub use snapshot::*;
