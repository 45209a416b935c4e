//! Probes of backends along the way that clients' packets take.
//!
//! Userspace has the program `probe` put a packet on its way to one backend (`BPF_PROG_TEST_RUN`; see [`ProbeFrame`]), sends what comes of it,
//! and finds in `PROBES` (hash, token -> `PROBE_*`) what came back: the balancer's program takes answers out of the traffic before the stack,
//! which knows of no such connection. A token is 32 random bits: TCP's first sequence number, or an echo's identifier and sequence number.

/// Nothing came back yet: userspace writes this before it sends.
pub const PROBE_WAITING: u32 = 0;
/// The origin accepts: a SYN with acknowledgement, or an echo reply.
pub const PROBE_ACCEPTED: u32 = 1;
/// The origin refuses: a reset.
pub const PROBE_REFUSED: u32 = 2;

/// The first of the ports that probes come from: below all that a stack gives out by itself.
pub const PROBE_PORT_FIRST: u16 = 256;
/// How many ports there are: those of one backend follow one another, so that an answer that is late finds no new connection.
pub const PROBE_PORTS: u16 = 256;

/// Both MACs of a frame for the program `probe`: who is to get it, by which service.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeFrame {
    /// The service's number, in its two halves: low, high.
    pub service: [u16; 2],
    /// Zero.
    pub padding: u16,
    /// The backend's number, in its two halves.
    pub backend: [u16; 2],
    /// Zero.
    pub padding_too: u16,
}

/// In the answer of `probe`: there is no way, and the rest is the number of the [`crate::Reason`]. Else it is the interface to send by.
pub const PROBE_NO_WAY: u32 = 1 << 31;

const _: () = assert!(size_of::<ProbeFrame>() == 12);
