//! What the kernel programs and userspace say to each other: keys and values of maps, their limits, the hash that both compute.
//!
//! Everything is `repr(C)`, of fixed size, with its padding written out and its size asserted, since it is compiled twice: for this
//! machine and for the kernel's. No `bool`, no enum, no reference: whatever bytes a map holds are a value.
//! Addresses, ports and MACs are kept as they stand in a packet (network order); IPv4 addresses are mapped into IPv6 (`::ffff:0:0/96`).
//! A change of any layout changes [`LAYOUT`], so that a later process never reads an earlier one's maps wrongly.
#![cfg_attr(not(test), no_std)]
#![expect(clippy::cast_possible_truncation, reason = "sizes and fields are small")]
#![expect(clippy::inline_always, reason = "the kernel's compiler is to see one function")]

mod address;
mod backend;
mod count;
mod decap;
mod flow;
mod guard;
mod hash;
mod hop;
mod nat;
mod probe;
mod quic;
mod redirect;
mod service;
mod settings;
mod slot;
mod steer;
#[cfg(feature = "user")]
mod user;
mod yardstick;

pub use address::{Address, Mac};
pub use backend::{Backend, backend_flags};
pub use count::{Counters, DropSample, REASONS_MAX, Reason, SAMPLE_BYTES};
pub use decap::{Candidates, DecapSettings, GUE_PORT, GUE_PRIVATE_KIND, GueHeader};
pub use flow::{FlowKey, Fragment, FragmentKey, Pin, Session, pin_flags, tcp_flags};
pub use guard::{
    GUARD_BLOCK_WORDS, GUARD_FILTER_WORDS, GUARD_NEAR_WORDS, GUARD_V4_BLOCKS, GUARD_V6_BITS, Guard, GuardVerdict, HostsOf24, SourceRate,
    V4Filter, v4_block, v4_near, v6_filter_bits,
};
pub use hash::{flow_hash, slot_of};
pub use hop::{HOP_KNOWN, HopFrame};
pub use nat::{NatFlow, Origin, OriginKey, PoolAddress, PoolKey};
pub use probe::{
    PROBE_ACCEPTED, PROBE_ANSWER_BYTES, PROBE_NO_WAY, PROBE_PORT_FIRST, PROBE_PORTS, PROBE_REFUSED, PROBE_STREAM_BYTES,
    PROBE_STREAM_PORT_FIRST, PROBE_STREAM_PORTS, PROBE_WAITING, ProbeAnswer, ProbeFrame,
};
pub use quic::{QUIC_ID_BYTES, QuicId, QuicKey};
pub use redirect::Redirection;
pub use service::{
    MODE_DSR, MODE_ECHO, MODE_NAT_GATEWAY, MODE_NAT_POOL, MODE_TERMINATE, PortCell, PortKey, PortRange, Ports, Service, VIA_GUE, VIA_IPIP,
    VIA_L2, protocols, service_flags,
};
pub use settings::Settings;
pub use slot::{ALTERNATES_MAX, AWAY, Away, AwayKey, OWNER, SLOT_PAIRS, Slot, SlotPair};
pub use steer::{Bind, STEER_CPUS, STEER_GROUPS, STEER_WORKERS, SteerCount};
pub use yardstick::{Connection, DRAW_STEP, Draw, REFERENCE_CONNECTIONS, drawn};

/// Counts changes of meaning that sizes do not show.
const VERSION: u32 = 4;

/// The layout of everything here. Maps pinned by a process with another one are not adopted.
pub const LAYOUT: u32 = {
    let parts = [
        VERSION,
        size_of::<PortKey>() as u32,
        size_of::<Ports>() as u32,
        size_of::<Service>() as u32,
        size_of::<Away>() as u32,
        size_of::<Backend>() as u32,
        size_of::<FlowKey>() as u32,
        size_of::<Pin>() as u32,
        size_of::<Session>() as u32,
        size_of::<Origin>() as u32,
        size_of::<PoolKey>() as u32,
        size_of::<NatFlow>() as u32,
        size_of::<Settings>() as u32,
        limits::SLOTS,
        limits::TABLES,
        limits::SERVICES,
        limits::BACKENDS,
        limits::PINS,
        limits::NAT_FLOWS,
        Reason::ALL.len() as u32,
    ];
    let mut layout: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < parts.len() {
        layout = (layout ^ parts[at]).wrapping_mul(0x0100_0193);
        at += 1;
    }
    // 0 is a map that nobody has written yet.
    layout | 1
};

/// No service: a port nobody asked for.
pub const NO_SERVICE: u32 = 0;

/// No backend: nobody lives.
pub const NO_BACKEND: u32 = 0;

/// How many entries the maps have where the configuration does not say otherwise.
pub mod limits {
    /// Slots of each table, a prime: Maglev's own choice for about a hundred members; a balance of 1 % up to 655.
    pub const SLOTS: u32 = 65537;
    /// Tables: clusters that some VIP forwards to.
    pub const TABLES: u32 = 1024;
    /// Services: ports of VIPs, counted once for a range.
    pub const SERVICES: u32 = 4096;
    /// Exact (address, protocol, port) entries.
    pub const PORTS: u32 = 65536;
    /// Cells of `PORTS_V4`: a power of two.
    pub const PORT_CELLS: u32 = 65536;
    /// (address, protocol) entries for ranges, whole addresses and packets without ports.
    pub const ADDRESSES: u32 = 8192;
    /// Backends of all clusters, those that are leaving included.
    pub const BACKENDS: u32 = 65536;
    /// Slots that are away, over all tables.
    pub const AWAY: u32 = 1 << 20;
    /// Flows that keep their owner in an away slot.
    pub const PINS: u32 = 1 << 20;
    /// UDP sessions.
    pub const SESSIONS: u32 = 1 << 18;
    /// Fragmented packets under way.
    pub const FRAGMENTS: u32 = 1 << 14;
    /// Flows through the pool of full NAT.
    pub const NAT_FLOWS: u32 = 1 << 18;
    /// Origins of NAT, by address, protocol and port.
    pub const ORIGINS: u32 = 65536;
    /// Addresses of all pools of full NAT.
    pub const POOL_ADDRESSES: u32 = 1024;
    /// Slots of the two rows that count sources: a power of two.
    pub const SOURCES: u32 = 1 << 16;
    /// /24 networks of which only some hosts are listed.
    pub const GUARD_PARTIAL: u32 = 1 << 20;
    /// Listed IPv6 prefixes.
    pub const GUARD_V6: u32 = 1 << 20;
    /// QUIC nodes: server ids over all services.
    pub const QUIC_NODES: u32 = 65536;
    /// Probes that wait for their answer.
    pub const PROBES: u32 = 65536;
    /// Connections of probes.
    pub const PROBE_STREAMS: u32 = 4096;
    /// Bytes of the ring of what comes over them.
    pub const PROBE_ANSWERS_BYTES: u32 = 1 << 19;
    /// Numbers whose owners are remembered: `IDENTITIES` (hash, `u64`: kind in the high half, number in the low -> `u64`: hash of the owner's
    /// name), which no program reads: it lets a later process give the same things the same numbers.
    pub const IDENTITIES: u32 = BACKENDS + TABLES + SERVICES;
    /// Sockets that are joined in the kernel: two for each connection.
    pub const REDIRECTED_SOCKETS: u32 = 1 << 17;
    /// Bytes of the ring of directions that begin to be kept.
    pub const REDIRECT_FULL_BYTES: u32 = 1 << 16;
    /// Bytes of the ring of sampled drops.
    pub const SAMPLES_BYTES: u32 = 1 << 18;
}
