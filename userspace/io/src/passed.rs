//! Bytes that userspace takes from one socket to another right before both are joined.

use crate::{Errno, socket::Ended};

/// What waited at one socket and was given to another, without waiting.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Bytes that the other took.
    pub(crate) moved: u64,
    /// Bytes received that it did not take.
    pub(crate) rest: Vec<u8>,
    /// Everything was received, and no packet is half read.
    pub(crate) is_empty: bool,
    /// How the first one's direction has ended, if it has.
    pub(crate) ended: Option<Ended>,
    /// Why the other takes no more bytes ever.
    pub(crate) broken: Option<Errno>,
}
