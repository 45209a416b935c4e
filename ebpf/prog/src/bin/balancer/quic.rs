//! QUIC packets whose connection id is one of ours go to the node that gave it out, whatever address they come from.
//!
//! A client's first packets carry an id of its own making, so Initial and 0-RTT packets go by the hash (RFC 9000, 7.2).

use crate::vip::Found;
use crate::{count, maps};
use abi::{QUIC_ID_BYTES, QuicId, QuicKey, Reason, protocols, service_flags};
use prog::packet::Packet;
use prog::parse::{Parsed, Piece};
use prog::wire::{QuicLong, QuicShort, Udp};

/// The first byte's bit of a long header (RFC 9000, 17.2).
const LONG: u8 = 0x80;

/// The packet type among a long header's bits, and the type whose id is the server's.
const TYPE: u8 = 0x30;
const HANDSHAKE: u8 = 0x20;

/// The form of ids that are not for steering.
const NO_CONFIG: u8 = 7;

/// The backend that a packet's connection id names.
#[inline(always)]
pub(crate) fn steer(packet: &Packet, parsed: &Parsed, found: &Found) -> Option<u32> {
    let ours = found.service.flags & service_flags::QUIC != 0 && parsed.flow.protocol == protocols::UDP;
    if !ours || parsed.about || parsed.piece == Piece::Later {
        return None;
    }
    let id = QuicId::read(id(packet, parsed.transport + size_of::<Udp>())?);
    if id.config == NO_CONFIG {
        return None;
    }
    let backend = maps::quic_node(&QuicKey { service: found.number, node: id.node, config: u16::from(id.config) })?;
    count::reason(Reason::Steered);
    Some(backend)
}

#[inline(always)]
fn id(packet: &Packet, at: usize) -> Option<[u8; QUIC_ID_BYTES]> {
    let short: QuicShort = packet.read(at).ok()?;
    if short.first & LONG == 0 {
        return Some(short.id);
    }
    if short.first & TYPE != HANDSHAKE {
        return None;
    }
    let long: QuicLong = packet.read(at).ok()?;
    if usize::from(long.id_length) < QUIC_ID_BYTES { None } else { Some(long.id) }
}
