//! From bytes to a [`Parsed`] packet: frame, tags, IP with options or extension headers, ports.
//!
//! What is not IP, or not a whole IP header, is the stack's: it drops and counts such packets itself. What breaks off after the IP
//! header may be ours, so the reason is kept until somebody knows.

use crate::packet::Packet;
use crate::verdict::{Step, Verdict};
use crate::wire::{
    DONT_FRAGMENT, ETHERNET_BYTES, EtherType, Extension, FRAGMENT_OFFSET, FragmentHeader, IPV4, IPV6, Ipv4, Ipv6, MORE_FRAGMENTS, QINQ,
    Tag, Tcp, TransportPorts, VLAN,
};
use abi::{Address, FlowKey, Reason, protocols, tcp_flags};

/// A packet that was understood.
#[derive(Clone, Copy)]
pub struct Parsed {
    /// Who to whom; ports are 0 where there are none.
    pub flow: FlowKey,
    /// VLAN tags: 0 to 2.
    pub tags: usize,
    /// Where its IP header begins, from the frame's start.
    pub ip: usize,
    /// Where its transport header begins, from the frame's start.
    pub transport: usize,
    /// Bytes of the IP packet, header included.
    pub bytes: u16,
    /// IPv4's type of service, IPv6's traffic class.
    pub tos: u8,
    /// TCP's flags, else 0.
    pub tcp: u8,
    /// Which piece of its packet it is.
    pub piece: Piece,
    /// Of a fragment: which packet it is a piece of.
    pub identification: u32,
    /// IPv4 that a router may fragment.
    pub may_fragment: bool,
    /// An ICMP error: `flow` is not its own but that of what it is about.
    pub about: bool,
}

/// Which piece of its packet a packet is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// All of it.
    Whole,
    /// The first: it has the ports.
    First,
    /// A later one: it has none.
    Later,
}

/// Extension headers of one IPv6 packet.
const EXTENSIONS_MAX: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

impl Parsed {
    /// Is it IPv4?
    #[inline(always)]
    pub fn is_v4(&self) -> bool {
        self.flow.source.is_v4()
    }

    /// Both ports as they stand in the packet.
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        u32::from(self.flow.source_port) | u32::from(self.flow.destination_port) << 16
    }

    /// Does it begin a TCP connection?
    #[inline(always)]
    pub fn is_syn(&self) -> bool {
        self.tcp & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }
}

/// Understand the packet as far as its IP header. The ports are for [`transport`] to read.
#[inline(always)]
pub fn parse(packet: &Packet) -> Step<Parsed> {
    let (kind, tags) = link(packet).map_err(not_ours)?;
    let mut parsed = network(packet, ETHERNET_BYTES + tags * size_of::<Tag>(), kind)?;
    parsed.tags = tags;
    Ok(parsed)
}

/// Understand an IP packet that stands at `ip` of the frame; `kind` is its `EtherType`.
#[inline(always)]
pub fn network(packet: &Packet, ip: usize, kind: u16) -> Step<Parsed> {
    let mut parsed = Parsed {
        flow: FlowKey::default(),
        tags: 0,
        ip,
        transport: 0,
        bytes: 0,
        tos: 0,
        tcp: 0,
        piece: Piece::Whole,
        identification: 0,
        may_fragment: false,
        about: false,
    };
    match kind {
        IPV4 => v4(packet, &mut parsed).map_err(not_ours)?,
        IPV6 => v6(packet, &mut parsed).map_err(not_ours)?,
        _ => return Err(Verdict::PASS),
    }
    Ok(parsed)
}

/// Read ports and flags, where there are any.
#[inline(always)]
pub fn transport(packet: &Packet, parsed: &mut Parsed) -> Step<()> {
    if parsed.piece == Piece::Later {
        return Ok(());
    }
    match parsed.flow.protocol {
        protocols::TCP => {
            let tcp: Tcp = packet.read(parsed.transport)?;
            if tcp.offset >> 4 < 5 {
                return Err(Verdict::drop(Reason::BadHeader));
            }
            parsed.tcp = tcp.flags;
            (parsed.flow.source_port, parsed.flow.destination_port) = (tcp.source, tcp.destination);
        }
        protocols::UDP => {
            let ports: TransportPorts = packet.read(parsed.transport)?;
            (parsed.flow.source_port, parsed.flow.destination_port) = (ports.source, ports.destination);
        }
        _ => {}
    }
    Ok(())
}

/// What is not understood is the stack's.
#[inline(always)]
pub fn not_ours(_: Verdict) -> Verdict {
    Verdict::PASS
}

#[inline(always)]
fn link(packet: &Packet) -> Step<(u16, usize)> {
    let kind = packet.read::<EtherType>(ETHERNET_BYTES - size_of::<EtherType>())?.kind;
    if kind != VLAN && kind != QINQ {
        return Ok((kind, 0));
    }
    let kind = packet.read::<EtherType>(ETHERNET_BYTES + size_of::<Tag>() - size_of::<EtherType>())?.kind;
    if kind != VLAN {
        return Ok((kind, 1));
    }
    let kind = packet.read::<EtherType>(ETHERNET_BYTES + 2 * size_of::<Tag>() - size_of::<EtherType>())?.kind;
    Ok((kind, 2))
}

#[inline(always)]
fn v4(packet: &Packet, parsed: &mut Parsed) -> Step<()> {
    let at = parsed.ip;
    let ip: Ipv4 = packet.read(at)?;
    let header = usize::from(ip.version_length & 15) * 4;
    let bytes = u16::from_be(ip.length);
    if ip.version_length >> 4 != 4 || header < size_of::<Ipv4>() || usize::from(bytes) < header || !packet.holds(at + usize::from(bytes)) {
        return Err(Verdict::PASS);
    }
    parsed.flow.source = Address::from_v4_word(ip.source);
    parsed.flow.destination = Address::from_v4_word(ip.destination);
    parsed.flow.protocol = ip.protocol;
    parsed.transport = at + header;
    parsed.bytes = bytes;
    parsed.tos = ip.tos;
    parsed.may_fragment = ip.fragment & DONT_FRAGMENT == 0;
    parsed.identification = u32::from(ip.identification);
    parsed.piece = piece(ip.fragment & FRAGMENT_OFFSET != 0, ip.fragment & MORE_FRAGMENTS != 0);
    Ok(())
}

#[inline(always)]
fn v6(packet: &Packet, parsed: &mut Parsed) -> Step<()> {
    let at = parsed.ip;
    let ip: Ipv6 = packet.read(at)?;
    let bytes = u32::from(u16::from_be(ip.length)) + size_of::<Ipv6>() as u32;
    let class_flow = u32::from_be(ip.version_class_flow);
    // An address that is a mapped IPv4 address has no place on the wire (RFC 4291, 2.5.5.2), and would be taken for IPv4 here.
    let mapped = Address(ip.source).is_v4() || Address(ip.destination).is_v4();
    if class_flow >> 28 != 6 || bytes > 0xffff || mapped || !packet.holds(at + bytes as usize) {
        return Err(Verdict::PASS);
    }
    parsed.flow.source = Address(ip.source);
    parsed.flow.destination = Address(ip.destination);
    parsed.bytes = bytes as u16;
    parsed.tos = (class_flow >> 20) as u8;
    parsed.transport = at + size_of::<Ipv6>();
    parsed.flow.protocol = ip.next;
    extensions(packet, parsed)
}

/// Walk the extension headers (RFC 8200, 4) up to a transport header or a later fragment.
#[inline(always)]
fn extensions(packet: &Packet, parsed: &mut Parsed) -> Step<()> {
    for _ in 0..EXTENSIONS_MAX {
        match parsed.flow.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                let header: Extension = packet.read(parsed.transport)?;
                parsed.flow.protocol = header.next;
                parsed.transport += (usize::from(header.length) + 1) * 8;
            }
            AUTHENTICATION => {
                // The one whose length counts words of four bytes, less two (RFC 4302, 2.2).
                let header: Extension = packet.read(parsed.transport)?;
                parsed.flow.protocol = header.next;
                parsed.transport += (usize::from(header.length) + 2) * 4;
            }
            FRAGMENT => {
                let header: FragmentHeader = packet.read(parsed.transport)?;
                let offset = u16::from_be(header.offset);
                parsed.flow.protocol = header.next;
                parsed.transport += size_of::<FragmentHeader>();
                parsed.identification = header.identification;
                parsed.piece = piece(offset >> 3 != 0, offset & 1 != 0);
                if parsed.piece == Piece::Later {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        // Nothing beyond is looked at, as `Packet` has it; a chain so long is no honest packet.
        if parsed.transport > TRANSPORT_MAX {
            return Err(Verdict::PASS);
        }
    }
    Err(Verdict::PASS)
}

/// The farthest transport header.
const TRANSPORT_MAX: usize = 512;

#[inline(always)]
fn piece(later: bool, more: bool) -> Piece {
    match (later, more) {
        (true, _) => Piece::Later,
        (false, true) => Piece::First,
        (false, false) => Piece::Whole,
    }
}
