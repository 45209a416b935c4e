//! The kernel layer: VIPs, and what holds for all of them on this machine.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::path::PathBuf;

use model::Network;

use super::{ClusterSlot, Name};

/// Addresses whose packets the kernel layer forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// Its key under `vips:`.
    pub name: Name,
    /// Never empty, each once.
    pub addresses: Box<[IpAddr]>,
    /// Never empty, disjoint; an address's port belongs to one VIP of the whole snapshot.
    pub ports: Box<[Ports]>,
    /// What is done with its packets.
    pub mode: VipMode,
    /// What becomes of established flows of an origin that is down.
    pub on_down: OnDown,
    /// How long a UDP flow keeps its origin after its last packet; `None` goes by the hash alone.
    pub session: Option<Duration>,
    /// What decides where a packet goes.
    pub hash: HashBy,
    /// By which way health checks come to origins.
    pub probe: ProbeBy,
}

/// Ports `first..=last` of a protocol; 0 to 65535 is every port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// Whose.
    pub transport: Transport,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What is done with a VIP's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VipMode {
    /// Origins own the address and answer the client themselves.
    Dsr {
        /// How packets come to them.
        via: Via,
        /// Who opens the envelopes.
        origins: Origins,
        /// The cluster.
        to: ClusterSlot,
    },
    /// Addresses are rewritten, there and back.
    Nat {
        /// The pool that origins see; `None`: they see the client, and their way back leads through this machine.
        pool: Option<Name>,
        /// The cluster.
        to: ClusterSlot,
    },
    /// This machine's own listener takes the connections.
    Terminate(Name),
}

impl VipMode {
    /// The cluster that packets go to.
    pub const fn cluster(&self) -> Option<ClusterSlot> {
        match self {
            Self::Dsr { to, .. } | Self::Nat { to, .. } => Some(*to),
            Self::Terminate(_) => None,
        }
    }
}

/// How packets come to an origin that answers for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// By another MAC.
    L2,
    /// In an IP envelope.
    Ipip,
    /// In a UDP envelope.
    Gue,
}

/// Who opens envelopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Whatever can.
    Any,
    /// `sluice decap`, which passes on what belongs to another origin.
    Sluice,
}

/// What becomes of established flows of an origin that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// They stay with it, and live when it comes back.
    Keep,
    /// They go to another origin, which resets them.
    Reset,
}

/// What decides where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// Address and port of its source.
    Flow,
    /// The address of its source.
    Source,
}

/// By which way health checks come to the origins of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeBy {
    /// That of clients' packets.
    Path,
    /// Straight to the origin's own address.
    Direct,
}

/// How programs are attached to interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// In the driver where it can, else generic; said which.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the stack, on any interface, slowly.
    Generic,
}

/// What holds for the kernel layer of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L4 {
    /// The interfaces that packets come in by; empty: those that lead to the default gateways.
    pub interfaces: Box<[Box<str>]>,
    /// How programs are attached to them.
    pub attach: Attach,
    /// The name under which programs and maps outlive the process.
    pub instance: Box<str>,
    /// Where IPv4 envelopes and ICMP errors come from; `None`: the interface's address.
    pub source_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub source_v6: Option<Ipv6Addr>,
    /// What flows are hashed with.
    pub hash_seed: u32,
    /// Slots of each table: one of the primes that tables may have.
    pub table_size: u32,
    /// How long a slot that changed remembers; a second at least.
    pub settle: Duration,
    /// Pools with this node's part of their ports, by name.
    pub pools: BTreeMap<Name, Pool>,
    /// Per second.
    pub limits: L4Limits,
    /// SYN cookies; `None` sends none.
    pub cookies: Option<Cookies>,
    /// Sources that are denied.
    pub deny: GuardList,
    /// Sources that are let through.
    pub allow: GuardList,
}

/// Addresses that origins see as clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Never empty, each once in all pools.
    pub addresses: Box<[IpAddr]>,
    /// This node's first port.
    pub first: u16,
    /// This node's last port.
    pub last: u16,
    /// A TCP flow is over after this silence.
    pub tcp_idle: Duration,
    /// A UDP flow is over after this silence.
    pub udp_idle: Duration,
}

/// Limits of the machine, per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L4Limits {
    /// New flows that are remembered; 0 remembers none.
    pub pins: u32,
    /// New fragmented packets.
    pub fragments: u32,
    /// New flows through pools.
    pub nat_flows: u32,
    /// Echo requests that are answered.
    pub echo: u32,
    /// ICMP errors that are sent.
    pub icmp_errors: u32,
    /// Connections that one source may begin; `None` is no limit.
    pub source_connections: Option<u32>,
    /// Packets that one source may send; `None` is no limit.
    pub source_packets: Option<u32>,
    /// Of so many drops one is kept to be looked at; 0 keeps none.
    pub sample_one_in: u32,
}

/// When SYNs are answered with cookies: rates per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// From here on.
    pub above: u32,
    /// Until it was below this; not more than `above`.
    pub below: u32,
    /// SYNs that go up all the same.
    pub trickle: u32,
}

/// Blocks of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardList {
    /// A file with one block a line.
    pub file: Option<PathBuf>,
    /// Further blocks.
    pub blocks: Box<[Network]>,
}
