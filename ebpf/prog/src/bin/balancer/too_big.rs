//! The errors that we make: a packet that does not fit is told of to its sender.
//!
//! Within a budget, and never about an error (RFC 1122, 3.2.2; RFC 4443, 2.4).

use crate::budget::{self, Budget};
use crate::count;
use abi::{Reason, Settings, protocols};
use prog::checksum;
use prog::packet::Packet;
use prog::parse::Parsed;
use prog::route::Link;
use prog::verdict::{Step, Verdict};
use prog::wire::{Icmp, Ipv4, Ipv6, TOO_BIG_V6, UNREACHABLE_V4};

/// RFC 792: fragmentation needed and DF set.
const FRAGMENTATION_NEEDED: u8 = 4;
/// What an error of ours quotes of its packet: more than any inside needs, less than what must arrive everywhere (RFC 1812, 4.3.2.3).
const QUOTE: usize = 480;

/// Tell the sender of a packet that does not fit how many bytes would (RFC 1191, 4; RFC 4443, 3.2).
#[inline(always)]
pub(crate) fn tell(packet: &Packet, parsed: &Parsed, mtu: usize, settings: &Settings) -> Step<Verdict> {
    if parsed.is_v4() && parsed.may_fragment {
        return Err(Verdict::pass_for(Reason::Fragmented));
    }
    let source = if parsed.is_v4() { &settings.source_v4 } else { &settings.source_v6 };
    if source.is_none() {
        return Err(Verdict::drop(Reason::NoSource));
    }
    let tells = !parsed.about && usize::from(parsed.bytes) >= QUOTE && budget::spend(Budget::Errors, settings.icmp_errors_per_s, settings);
    if !tells {
        return Err(Verdict::drop(Reason::TooBigSilent));
    }
    let link = Link::read(packet, parsed)?;
    let hop = link.back();
    packet.cut(parsed.ip + QUOTE)?;
    let header = if parsed.is_v4() { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    packet.grow(header + size_of::<Icmp>())?;
    link.write(packet, &hop, parsed.is_v4())?;
    let bytes = (size_of::<Icmp>() + QUOTE) as u16;
    let at = parsed.ip + header;
    let (kind, code) = if parsed.is_v4() { (UNREACHABLE_V4, FRAGMENTATION_NEEDED) } else { (TOO_BIG_V6, 0) };
    let mut icmp = Icmp { kind, code, checksum: 0, rest: (mtu as u32).to_be() };
    packet.write(at, icmp)?;
    let client = parsed.flow.source;
    let mut sum = packet.sum::<{ size_of::<Icmp>() + QUOTE }>(at)?;
    if parsed.is_v4() {
        packet.write(parsed.ip, Ipv4::made(protocols::ICMP, bytes, source.v4_word(), client.v4_word()))?;
    } else {
        packet.write(parsed.ip, Ipv6::made(protocols::ICMPV6, bytes, source.0, client.0))?;
        sum = sum.plus(checksum::pseudo(source, &client, protocols::ICMPV6, bytes));
    }
    icmp.checksum = sum.checksum();
    packet.write(at, icmp)?;
    count::reason(Reason::TooBig);
    Ok(hop.send())
}
