//! Heads and trailers: field lists on one side, [`model::Head`] on the other (RFC 9113 §8).

mod grammar;
mod list;
mod read;
mod write;

pub(crate) use list::{List, ListLimits};
pub(crate) use read::{request, response, trailers};
pub(crate) use write::{block_is_clean, fields_are_clean, write_head, write_trailers};

use model::Cause;

/// Why a field list is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It breaks a rule of RFC 9113 §8: a stream error.
    Malformed,
    /// It is well-formed, and refused with a status.
    Refused(Cause),
}
