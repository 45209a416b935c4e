//! The kernel layer in the document: VIPs, and what holds for all of them on this machine.

use core::net::IpAddr;
use core::time::Duration;

use super::seconds;
use crate::containers::{Located, Map};
use crate::record::record;
use crate::scalars::{
    CountLimit, FilePath, Instance, Interface, Number, Period, PortRange, Prefix, RateLimit, Snat, TableSize, TimeLimit, VipPorts,
};
use crate::snapshot::{Attach, HashBy, Name, OnDown, Origins, ProbeBy, Via};

record! {
    /// Addresses whose packets the kernel layer forwards.
    struct Vip {
        /// IPv4 and IPv6 addresses.
        addresses: Located<Vec<Located<IpAddr>>>,
        /// tcp/443, a range as in udp/8000-8999, tcp/all, or all; an address's port belongs to one VIP.
        ports: Located<Vec<Located<VipPorts>>>,
        /// Origins own the address and answer the client themselves. One of `dsr`, `nat` and `terminate`.
        dsr: Option<Located<Dsr>> = None,
        /// Addresses are rewritten, there and back.
        nat: Option<Located<Nat>> = None,
        /// The listener that takes the connections.
        terminate: Option<Located<Name>> = None,
        /// The cluster that packets go to, unless they are terminated.
        to: Option<Located<Name>> = None,
        /// Established flows of an origin that is down: keep them there, or reset them.
        on_down: OnDown = OnDown::Keep,
        /// Keep UDP flows with their origin until this long after their last packet; `none` goes by the hash alone.
        session: Located<TimeLimit> = Located { at: crate::read::At::default(), value: TimeLimit(None) },
        /// What decides where a packet goes: address and port of its source, or the address only.
        hash: HashBy = HashBy::Flow,
        /// By which way the cluster's health checks come to origins: path, that of clients' packets, to the VIP's address and port; or direct, to
        /// the origin's own address. What is translated (nat) comes there anyhow.
        probe: ProbeBy = ProbeBy::Path,
    }
}

record! {
    /// Direct server return.
    sugar(via)
    struct Dsr {
        /// How a packet comes to its origin: l2, ipip or gue.
        via: Via,
        /// Whose decapsulation origins run: any, or sluice (`sluice decap`), which passes on what belongs to another origin.
        origins: Located<Origins> = Located { at: crate::read::At::default(), value: Origins::Any },
    }
}

record! {
    /// Network address translation.
    sugar(snat)
    struct Nat {
        /// What origins see as the client: none, the client itself, this machine being their gateway; or a pool's name.
        snat: Located<Snat>,
    }
}

record! {
    /// The kernel layer of this machine.
    struct L4 [default] {
        /// The interfaces that packets of VIPs come in by; absent: those that lead to the default gateways.
        interfaces: Vec<Interface> = Vec::new(),
        /// native, generic (slow, on any interface), or auto: native where the driver can.
        attach: Attach = Attach::Auto,
        /// The name under which programs and maps outlive the process.
        instance: Instance = Instance::default(),
        /// This machine's addresses, at most one of each family: where envelopes and ICMP errors come from. Absent: those of the interface.
        source: Located<Vec<IpAddr>> = Located { at: crate::read::At::default(), value: Vec::new() },
        /// What flows are hashed with: equal on all nodes, and secret, since who knows it can choose flows that meet.
        hash_seed: Number<0, { u32::MAX }> = Number(0),
        /// Slots of each cluster's table: 4093, 16381 or 65537; equal on all nodes.
        table_size: TableSize = TableSize(65_537),
        /// How long established flows stay with the origin that a change took from their slot.
        settle: Period = Period(Duration::from_hours(1)),
        /// This node's number among those that share the pools, from 0.
        node: Located<Number<0, 255>> = Located { at: crate::read::At::default(), value: Number(0) },
        /// How many nodes share the pools; each has its part of their ports.
        nodes: Number<1, 256> = Number(1),
        /// Addresses that origins see instead of the client's, by name.
        pools: Map<Name, Pool> = Map::default(),
        /// Limits of this machine.
        limits: L4Limits = L4Limits::default(),
        /// SYN cookies for VIPs that are terminated.
        cookies: Cookies = Cookies::default(),
        /// Who is denied and who is let through.
        guards: Guards = Guards::default(),
    }
}

record! {
    /// Addresses that origins see as clients.
    struct Pool {
        /// The addresses.
        addresses: Located<Vec<Located<IpAddr>>>,
        /// The ports of each, over all nodes.
        ports: Located<PortRange> = Located { at: crate::read::At::default(), value: PortRange { first: 1_024, last: u16::MAX } },
        /// A TCP flow is over after this silence.
        tcp_idle: Period = Period(Duration::from_hours(1)),
        /// A UDP flow is over after this silence.
        udp_idle: Period = Period(Duration::from_mins(1)),
    }
}

record! {
    /// Limits of this machine, per second.
    struct L4Limits [default] {
        /// New flows that are remembered: of TCP in slots that changed, of UDP with `session`.
        pins: RateLimit = RateLimit(20_000),
        /// New fragmented packets that are remembered.
        fragments: RateLimit = RateLimit(10_000),
        /// New flows through pools.
        nat_flows: RateLimit = RateLimit(50_000),
        /// Echo requests that are answered.
        echo: RateLimit = RateLimit(1_000),
        /// ICMP errors that are sent.
        icmp_errors: RateLimit = RateLimit(1_000),
        /// Connections that one source may begin.
        source_connections: CountLimit = CountLimit(None),
        /// Packets that one source may send.
        source_packets: CountLimit = CountLimit(None),
        /// Of so many dropped packets one is kept to be looked at; 0 keeps none.
        sample_one_in: Number<0, 1_000_000_000> = Number(1_000),
    }
}

record! {
    /// SYN cookies: rates of SYNs, per second.
    struct Cookies [default] {
        /// From here on SYNs are answered with cookies; `none` never does.
        above: CountLimit = CountLimit(None),
        /// Below this for five seconds they are not any more; absent: half of `above`.
        below: Option<Located<Number<1, 1_000_000_000>>> = None,
        /// SYNs that still go up meanwhile: the kernel accepts cookies only while its own queue overflows.
        trickle: RateLimit = RateLimit(100),
    }
}

record! {
    /// Who is denied and who is let through. The most specific block decides; allow beats deny.
    struct Guards [default] {
        /// Sources whose packets are dropped.
        deny: GuardList = GuardList::default(),
        /// Sources that are let through, limits of sources included.
        allow: GuardList = GuardList::default(),
    }
}

record! {
    /// Blocks of addresses.
    sugar(file)
    struct GuardList [default] {
        /// A file with one block a line; `#` begins a comment.
        file: Option<FilePath> = None,
        /// Further blocks.
        blocks: Vec<Prefix> = Vec::new(),
    }
}

/// The time that `session` may take at most: its seconds are kept in 32 bits.
pub(crate) const SESSION_MAX: TimeLimit = seconds(86_400);
