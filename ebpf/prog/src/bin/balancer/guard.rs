//! Guards in front of every VIP: who may not come, who always may, and how much one source may send.
//!
//! An unlisted source costs one memory access; the structure stands in `abi::guard`. Rates are counted in two rows of fixed size, whatever an
//! attacker makes up: two sources that meet in a cell are counted together, and the smaller of the two cells counts, so that an innocent
//! source is wronged only when both its cells have a loud one.

use crate::{budget, count, maps};
use abi::{Address, GuardVerdict, Reason, Settings, SourceRate, V4Filter, flow_hash, limits, v4_block, v4_near, v6_filter_bits};
use prog::verdict::{Step, Verdict};

/// Let a client's packet in, or not.
#[inline(always)]
pub(crate) fn admit(source: &Address, is_syn: bool, settings: &Settings) -> Step<()> {
    match listed(source, settings) {
        GuardVerdict::Deny => return Err(Verdict::drop(Reason::Denied)),
        GuardVerdict::Allow => {
            count::reason(Reason::Allowed);
            return Ok(());
        }
        GuardVerdict::Unlisted | GuardVerdict::Partial => {}
    }
    if has_limits(settings) { within(over_limits(source, is_syn, settings)) } else { Ok(()) }
}

/// What the list in force says of an address.
#[inline(always)]
fn listed(source: &Address, settings: &Settings) -> GuardVerdict {
    let list = settings.guard.wrapping_sub(1);
    if source.is_v4() {
        let word = source.v4_word();
        return if is_near(word, glance(word, settings)) { listed_v4(word, list) } else { GuardVerdict::Unlisted };
    }
    let [short, middle, long] = v6_filter_bits(source);
    if settings.guard == 0 || filtered(list, short) | filtered(list, middle) | filtered(list, long) == 0 {
        return GuardVerdict::Unlisted;
    }
    GuardVerdict::of(maps::guard_v6(list, source))
}

/// The word that says whether the list in force names anybody near an IPv4 address; 0, which is nobody, without a list.
#[inline(always)]
pub(crate) fn glance(source: u32, settings: &Settings) -> u64 {
    if settings.guard == 0 { 0 } else { maps::guard_v4_near(settings.guard - 1, v4_near(source).0) }
}

/// Does it, as that word has it?
#[inline(always)]
pub(crate) fn is_near(source: u32, glance: u64) -> bool {
    glance >> v4_near(source).1 & 1 != 0
}

/// What a list says of an IPv4 address that is near to somebody whom it names.
#[inline(always)]
pub(crate) fn listed_v4(source: u32, list: u32) -> GuardVerdict {
    let filter = V4Filter::of(source);
    if !filter.may_be_in(maps::guard_v4_filter(list, filter.place)) {
        return GuardVerdict::Unlisted;
    }
    let host = u32::from_be(source);
    let (block, word, shift) = v4_block(host >> 8);
    match GuardVerdict::of((maps::guard_v4(list, block, word) >> shift) as u32) {
        GuardVerdict::Partial => {
            let (word, shift) = ((host & 255) / 32, (host & 31) * 2);
            GuardVerdict::of((maps::guard_hosts(list, host >> 8, word) >> shift) as u32)
        }
        verdict @ (GuardVerdict::Unlisted | GuardVerdict::Deny | GuardVerdict::Allow) => verdict,
    }
}

#[inline(always)]
fn filtered(list: u32, bit: u32) -> u64 {
    maps::guard_v6_filter(list, bit >> 12, (bit >> 6) & 63) >> (bit & 63) & 1
}

/// Is there a limit of what one source may do?
#[inline(always)]
pub(crate) fn has_limits(settings: &Settings) -> bool {
    settings.source_packets_per_s | settings.source_connections_per_s != 0
}

/// Over no limit.
const WITHIN: u32 = 0;
const PACKETS: u32 = 1;
const CONNECTIONS: u32 = 2;

/// In, or not, as [`over_limits`] says.
#[inline(always)]
pub(crate) fn within(over: u32) -> Step<()> {
    match over {
        PACKETS => Err(Verdict::drop(Reason::SourcePackets)),
        CONNECTIONS => Err(Verdict::drop(Reason::SourceConnections)),
        _ => Ok(()),
    }
}

/// Count the packet for its source: the limit that it is over.
#[inline(always)]
pub(crate) fn over_limits(source: &Address, is_syn: bool, settings: &Settings) -> u32 {
    let hash = flow_hash(settings.hash_seed, source, 0);
    let rows = [hash & (limits::SOURCES - 1), limits::SOURCES + (hash >> 16 & (limits::SOURCES - 1))];
    let syn = u32::from(is_syn);
    let now = budget::second();
    let (mut packets, mut connections) = (u32::MAX, u32::MAX);
    for place in rows {
        let Some(cell) = maps::source(place) else { continue };
        if cell.second != now {
            *cell = SourceRate { second: now, ..SourceRate::default() };
        }
        cell.packets += 1;
        cell.connections += syn;
        packets = packets.min(cell.packets);
        connections = connections.min(cell.connections);
    }
    if settings.source_connections_per_s != 0 && syn != 0 && connections > settings.source_connections_per_s {
        return CONNECTIONS;
    }
    if settings.source_packets_per_s != 0 && packets > settings.source_packets_per_s {
        return PACKETS;
    }
    WITHIN
}
