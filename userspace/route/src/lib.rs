//! Which route a request takes: host to site, then path and method to the first rule that matches.
//!
//! Matchers only. The table is built once per configuration and read by every request, so a lookup costs the same
//! with five rules and with five thousand: hosts, exact paths and path prefixes are hashed, and only rules whose path
//! already matched are compared, by their place in the file.
//! This crate does no IO, knows no HTTP beyond bytes, and never decides how a path or host is normalised: the caller
//! hands over what it has already cleaned.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod host;
mod method;
mod path;
mod site;
mod table;

pub use host::{HostError, HostPattern};
pub use method::MethodSet;
pub use path::{PathError, PathPattern};
pub use site::{Rule, Site};
pub use table::{BuildError, Found, RouteTable};
