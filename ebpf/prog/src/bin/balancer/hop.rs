//! Next hops for userspace: what the long way asks for each packet, asked once and written down (`abi::HopFrame`).

use crate::maps;
use abi::{HOP_KNOWN, HopFrame, Reason};
use prog::packet::Packet;
use prog::route;
use prog::verdict::{Step, Verdict};

/// Whether the kernel knows the next hop that the frame asks for; then it stands in the frame.
#[inline(always)]
pub(crate) fn hop(packet: &Packet) -> u32 {
    if ask(packet).is_ok() { HOP_KNOWN } else { !HOP_KNOWN }
}

#[inline(always)]
fn ask(packet: &Packet) -> Step<()> {
    let settings = maps::settings().ok_or(Verdict::drop(Reason::Broken))?;
    let asked: HopFrame = packet.read(0)?;
    let hop = route::by_routes(packet, route::source_for(&asked.address, settings), &asked.address)?;
    let macs = hop.macs();
    packet.write(0, HopFrame { interface: hop.interface(packet), mac: macs.destination(), source_mac: macs.source(), ..asked })
}
