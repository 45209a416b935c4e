//! Probes of backends along the way that clients' packets take.
//!
//! Userspace has the program `probe` put a packet on its way to one backend (`BPF_PROG_TEST_RUN`; see [`ProbeFrame`]), sends what comes of it,
//! and finds in `PROBES` (hash, token -> `PROBE_*`) what came back: the balancer's program takes answers out of the traffic before the stack,
//! which knows of no such connection. A token is 32 random bits: TCP's first sequence number, or an echo's identifier and sequence number.
//!
//! Some questions take a connection that comes to be. It is userspace's own, stack and all: what an origin sends is given up whole through
//! `ANSWERS` (ring, [`ProbeAnswer`]) while the connection stands in `PROBE_STREAMS` (hash, [`crate::FlowKey`] as the origin's packets have it ->
//! our first sequence number, in this machine's order of bytes).

/// Nothing came back yet: userspace writes this before it sends.
pub const PROBE_WAITING: u32 = 0;
/// The origin accepts: a SYN with acknowledgement, or an echo reply.
pub const PROBE_ACCEPTED: u32 = 1;
/// The origin refuses: a reset.
pub const PROBE_REFUSED: u32 = 2;

/// The first of the ports that probes come from: below all that a stack gives out by itself.
pub const PROBE_PORT_FIRST: u16 = 256;
/// How many ports there are: those of one backend follow one another, so that an answer that is late finds no new connection.
pub const PROBE_PORTS: u16 = 128;
/// The first of the ports that whole connections come from: the next ones.
pub const PROBE_STREAM_PORT_FIRST: u16 = PROBE_PORT_FIRST + PROBE_PORTS;
/// How many of them there are: of one address and port of a VIP, so many backends can be asked at once.
pub const PROBE_STREAM_PORTS: u16 = 128;
/// Less is sent over one connection. What acknowledges none of it comes from somebody who sees nothing of it, and is not given up.
pub const PROBE_STREAM_BYTES: u32 = 1 << 16;
/// The longest packet that is given up: no origin is offered a window that would make a longer one. A power of two.
pub const PROBE_ANSWER_BYTES: usize = 2048;

/// A packet of an origin, in the ring `ANSWERS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Bytes of the packet, IP header included.
    pub length: u32,
    /// The packet; beyond its end is whatever was there.
    pub bytes: [u8; PROBE_ANSWER_BYTES],
}

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

const _: () = assert!(size_of::<ProbeFrame>() == 12 && size_of::<ProbeAnswer>() == 4 + PROBE_ANSWER_BYTES);
