//! The next packet: the same frame with another source address and port, drawn without touching memory that the program under test needs.

use crate::maps;
use abi::{DRAW_STEP, Draw, drawn};
use prog::packet::Packet;
use prog::verdict::Step;
use prog::wire::{ETHERNET_BYTES, EtherType, IPV4, Macs};

/// Bytes of the frames that are drawn: Ethernet, IPv4 and TCP without options or data, as [`crate::maps`]'s user makes them.
const FRAME_BYTES: usize = 54;

/// Where IPv4 has its source address.
const SOURCE: usize = ETHERNET_BYTES + 12;
/// Where TCP has its source port.
const PORT: usize = ETHERNET_BYTES + 20;
/// Where TCP has the offset of its data, and its flags.
const OFFSET_AND_FLAGS: usize = PORT + 12;

/// Undo what the program before did, and make the next packet.
#[inline(always)]
pub(crate) fn draw(packet: &Packet) -> Step<()> {
    let surplus = packet.length().wrapping_sub(FRAME_BYTES);
    if surplus != 0 && surplus < FRAME_BYTES {
        packet.shrink(surplus)?;
    }
    let Some(draw) = maps::draw() else { return Ok(()) };
    let flow = next(draw);
    // An envelope's IP header stood where the frame's own header had been.
    packet.write(0, Macs { destination: 2, destination_end: 0x200, source: 2, source_end: 0x100_0000 })?;
    packet.write(ETHERNET_BYTES - size_of::<EtherType>(), EtherType { kind: IPV4 })?;
    packet.write(SOURCE, ((flow >> 32) as u32 & !draw.clear | draw.set).to_be())?;
    packet.write(PORT, flow as u16)?;
    packet.write(OFFSET_AND_FLAGS, u16::from_ne_bytes([0x50, draw.tcp_flags as u8]))
}

/// Address and port of the next flow.
#[inline(always)]
fn next(draw: &mut Draw) -> u64 {
    draw.state = draw.state.wrapping_add(DRAW_STEP);
    let word = drawn(draw.state);
    match u64::from(draw.flows) {
        0 => word,
        flows => drawn((((word >> 32) * flows) >> 32).wrapping_mul(DRAW_STEP)),
    }
}
