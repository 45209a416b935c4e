//! What holds for the whole machine: `SETTINGS`, an array of one.

use crate::{Address, Mac};

/// Limits are per second and for the whole machine: each CPU takes its share. 0 is none at all, not unlimited.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// [`crate::LAYOUT`] of who wrote the maps.
    pub layout: u32,
    /// Slots of each table.
    pub slots: u32,
    /// The seed of [`crate::flow_hash`], equal on all nodes.
    pub hash_seed: u32,
    /// CPUs that share the limits below.
    pub cpus: u32,
    /// This node's IPv4 address: the source of envelopes and ICMP errors; none: no IPv4 envelopes.
    pub source_v4: Address,
    /// This node's IPv6 address.
    pub source_v6: Address,
    /// The next hop of backends without a MAC of their own; all zero: the kernel's routes are asked.
    pub gateway_mac: Mac,
    /// Zero.
    pub padding: u16,
    /// New pins and UDP sessions.
    pub pin_writes_per_s: u32,
    /// New fragmented packets.
    pub fragment_writes_per_s: u32,
    /// New flows of full NAT.
    pub nat_writes_per_s: u32,
    /// Answers to echo requests.
    pub echo_per_s: u32,
    /// ICMP errors that we make.
    pub icmp_errors_per_s: u32,
    /// The list in force: 0 none, else 1 or 2.
    pub guard: u32,
    /// New connections per second that one source may begin; 0 is unlimited (as an exception).
    pub source_connections_per_s: u32,
    /// Packets per second that one source may send; 0 is unlimited (as an exception).
    pub source_packets_per_s: u32,
    /// SYNs per second to services with COOKIES from which on cookies are answered.
    pub cookies_on_per_s: u32,
    /// ... and below which, for [`Self::COOKIES_CALM_S`] seconds, they are not any more.
    pub cookies_off_per_s: u32,
    /// Under flood this many SYNs per second still go up to the listener (it must overflow for the kernel to accept cookies).
    pub cookies_trickle_per_s: u32,
    /// One of this many drops is sampled; 0 is none.
    pub sample_one_in: u32,
    /// A TCP flow of full NAT is over after this silence, seconds.
    pub nat_tcp_idle_s: u32,
    /// A UDP flow of full NAT is over after this silence, seconds.
    pub nat_udp_idle_s: u32,
}

impl Settings {
    /// How long a flood must have ended before cookies end.
    pub const COOKIES_CALM_S: u32 = 5;
}

const _: () = assert!(size_of::<Settings>() == 112);
