//! ICMP: echo requests to a VIP, answered within a budget, and errors about its flows.
//!
//! An error about a flow goes where the flow goes: what it quotes is a packet of the VIP, so its ends are exchanged.

use crate::budget::{self, Budget};
use crate::count;
use crate::probe;
use crate::vip::{self, Found};
use abi::{Address, FlowKey, MODE_ECHO, Reason, Settings, protocols, service_flags};
use prog::checksum::{self, Sum};
use prog::packet::Packet;
use prog::parse::{self, Parsed, Piece};
use prog::route::Link;
use prog::verdict::{Step, Verdict};
use prog::wire::{FRAGMENT_OFFSET, HOPS, Icmp, Ipv4, Ipv6, TransportPorts, UNREACHABLE_V4};

/// What an ICMP packet to one of our addresses is.
pub(crate) enum Message {
    /// An echo request, and the service that answers for the address.
    Echo(Found),
    /// An error about a flow, which is the packet's flow from now on.
    About,
}

const ECHO_REPLY_V4: u8 = 0;
const ECHO_V4: u8 = 8;
const TIME_EXCEEDED_V4: u8 = 11;
const PARAMETER_V4: u8 = 12;
const UNREACHABLE_V6: u8 = 1;
const PARAMETER_V6: u8 = 4;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Read an ICMP packet: whose is it?
#[inline(always)]
pub(crate) fn read(packet: &Packet, parsed: &mut Parsed, settings: &Settings) -> Step<Message> {
    let protocol = if parsed.is_v4() { protocols::ICMP } else { protocols::ICMPV6 };
    if parsed.flow.protocol != protocol || parsed.piece != Piece::Whole {
        return Err(Verdict::PASS);
    }
    let icmp: Icmp = packet.read(parsed.transport).map_err(parse::not_ours)?;
    match (parsed.is_v4(), icmp.kind) {
        (true, ECHO_V4) | (false, ECHO_V6) => {
            let ports = vip::address(parsed).ok_or(Verdict::PASS)?;
            let found = vip::found(ports.portless).ok_or(Verdict::PASS)?;
            if found.service.mode == MODE_ECHO { Ok(Message::Echo(found)) } else { Err(Verdict::PASS) }
        }
        (true, UNREACHABLE_V4 | TIME_EXCEEDED_V4 | PARAMETER_V4) | (false, UNREACHABLE_V6..=PARAMETER_V6) => {
            parsed.flow = quoted(packet, parsed).map_err(parse::not_ours)?;
            parsed.about = true;
            Ok(Message::About)
        }
        (true, ECHO_REPLY_V4) | (false, ECHO_REPLY_V6) => Err(probe::echoed(parsed, icmp.rest, settings)),
        _ => Err(Verdict::PASS),
    }
}

/// The flow of the packet that an error quotes, as it looks from the client's side.
#[inline(always)]
fn quoted(packet: &Packet, parsed: &Parsed) -> Step<FlowKey> {
    let at = parsed.transport + size_of::<Icmp>();
    let (source, destination, protocol, transport) = if parsed.is_v4() {
        let ip: Ipv4 = packet.read(at)?;
        if ip.version_length >> 4 != 4 || ip.fragment & FRAGMENT_OFFSET != 0 {
            return Err(Verdict::PASS);
        }
        let header = usize::from(ip.version_length & 15) * 4;
        (Address::from_v4_word(ip.source), Address::from_v4_word(ip.destination), ip.protocol, at + header)
    } else {
        let ip: Ipv6 = packet.read(at)?;
        (Address(ip.source), Address(ip.destination), ip.next, at + size_of::<Ipv6>())
    };
    if protocol != protocols::TCP && protocol != protocols::UDP {
        return Err(Verdict::PASS);
    }
    let ports: TransportPorts = packet.read(transport)?;
    Ok(FlowKey {
        source: destination,
        destination: source,
        source_port: ports.destination,
        destination_port: ports.source,
        protocol,
        padding: [0; 3],
    })
}

/// Answer an echo request, if somebody lives behind the address.
#[inline(always)]
pub(crate) fn echo(packet: &Packet, parsed: &Parsed, found: &Found, settings: &Settings) -> Step<Verdict> {
    if found.service.flags & service_flags::LIVES == 0 {
        return Err(Verdict::drop(Reason::EchoDown));
    }
    if !budget::spend(Budget::Echoes, settings.echo_per_s, settings) {
        return Err(Verdict::drop(Reason::EchoLimit));
    }
    let mut icmp: Icmp = packet.read(parsed.transport)?;
    let before = Sum::new().half(u16::from_ne_bytes([icmp.kind, icmp.code]));
    icmp.kind = if parsed.is_v4() { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    let after = Sum::new().half(u16::from_ne_bytes([icmp.kind, icmp.code]));
    icmp.checksum = checksum::replaced(icmp.checksum, before, after);
    packet.write(parsed.transport, icmp)?;
    // Addresses change places, which no checksum notices; the hops begin anew.
    if parsed.is_v4() {
        let mut ip: Ipv4 = packet.read(parsed.ip)?;
        let before = Sum::new().half(u16::from_ne_bytes([ip.ttl, ip.protocol]));
        ip.ttl = HOPS;
        let after = Sum::new().half(u16::from_ne_bytes([ip.ttl, ip.protocol]));
        ip.checksum = checksum::replaced(ip.checksum, before, after);
        (ip.source, ip.destination) = (ip.destination, ip.source);
        packet.write(parsed.ip, ip)?;
    } else {
        let mut ip: Ipv6 = packet.read(parsed.ip)?;
        ip.hops = HOPS;
        (ip.source, ip.destination) = (ip.destination, ip.source);
        packet.write(parsed.ip, ip)?;
    }
    let hop = Link::read(packet, parsed)?.back();
    hop.write(packet)?;
    count::reason(Reason::Echoed);
    Ok(hop.send())
}
