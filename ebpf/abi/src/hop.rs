//! Next hops, as the kernel's routes and neighbours have them.
//!
//! Userspace runs the program `hop` (`BPF_PROG_TEST_RUN`, as if by a packet that came in by an interface), which asks what the balancer would ask for each
//! packet to a backend without a MAC; what it answers stands in `BACKENDS` from then on.

use crate::{Address, Mac};

/// A frame for the program `hop`: the question, and the answer in its place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopFrame {
    /// Whose next hop.
    pub address: Address,
    /// The answer: the interface to send by.
    pub interface: u32,
    /// The next hop's MAC.
    pub mac: Mac,
    /// The MAC to send from.
    pub source_mac: Mac,
}

/// What `hop` answers when the frame holds an answer; anything else is that the kernel knows no next hop.
pub const HOP_KNOWN: u32 = 1;

const _: () = assert!(size_of::<HopFrame>() == 32);
