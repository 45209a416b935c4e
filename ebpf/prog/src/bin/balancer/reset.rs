//! Resets for TCP when nobody lives: the client learns at once what it would learn by waiting.

use crate::{count, slot};
use abi::{Reason, protocols, tcp_flags};
use prog::checksum;
use prog::packet::Packet;
use prog::parse::{Parsed, Piece};
use prog::route::Link;
use prog::verdict::{Step, Verdict};
use prog::wire::{Ipv4, Ipv6, Tcp};

/// TCP's header length without options, as it stands in the header.
const OFFSET: u8 = 5 << 4;

/// Answer a packet by a reset (RFC 9293, 3.5.2, group 1: a connection that does not exist).
#[inline(always)]
pub(crate) fn answer(packet: &Packet, parsed: &Parsed) -> Step<Verdict> {
    if parsed.flow.protocol != protocols::TCP || parsed.about || parsed.piece != Piece::Whole || parsed.tcp & tcp_flags::RST != 0 {
        return Err(slot::NOBODY);
    }
    let theirs: Tcp = packet.read(parsed.transport)?;
    let mut ours = Tcp {
        source: theirs.destination,
        destination: theirs.source,
        sequence: theirs.acknowledgement,
        acknowledgement: 0,
        offset: OFFSET,
        flags: tcp_flags::RST,
        window: 0,
        checksum: 0,
        urgent: 0,
    };
    if theirs.flags & tcp_flags::ACK == 0 {
        let header = usize::from(theirs.offset >> 4) * 4;
        let data = (parsed.ip + usize::from(parsed.bytes)).saturating_sub(parsed.transport + header) as u32;
        let controls = u32::from(theirs.flags & tcp_flags::SYN != 0) + u32::from(theirs.flags & tcp_flags::FIN != 0);
        let next = u32::from_be(theirs.sequence).wrapping_add(data).wrapping_add(controls);
        ours.sequence = 0;
        ours.acknowledgement = next.to_be();
        ours.flags |= tcp_flags::ACK;
    }
    let (vip, client) = (parsed.flow.destination, parsed.flow.source);
    let bytes = size_of::<Tcp>() as u16;
    ours.checksum = checksum::pseudo(&vip, &client, protocols::TCP, bytes).plus(checksum::tcp(&ours)).checksum();
    let header = if parsed.is_v4() { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    packet.cut(parsed.ip + header + size_of::<Tcp>())?;
    if parsed.is_v4() {
        packet.write(parsed.ip, Ipv4::made(protocols::TCP, bytes, vip.v4_word(), client.v4_word()))?;
    } else {
        packet.write(parsed.ip, Ipv6::made(protocols::TCP, bytes, vip.0, client.0))?;
    }
    packet.write(parsed.ip + header, ours)?;
    let hop = Link::read(packet, parsed)?.back();
    hop.write(packet)?;
    count::reason(Reason::Reset);
    Ok(hop.send())
}
