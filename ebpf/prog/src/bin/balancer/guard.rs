//! Guards in front of every VIP: who may not come, who always may, and how much one source may send.
//!
//! An unlisted source costs one memory access; the structure stands in `abi::guard`. Rates are counted in two rows of fixed size, whatever an
//! attacker makes up: two sources that meet in a cell are counted together, and the smaller of the two cells counts, so that an innocent
//! source is wronged only when both its cells have a loud one.

use crate::{budget, count, maps};
use abi::{Address, GuardVerdict, Reason, Settings, SourceRate, flow_hash, limits, v4_block, v4_filter, v6_filter_bits};
use prog::verdict::{Step, Verdict};

/// Let a client's packet in, or not.
#[inline(always)]
pub(crate) fn admit(source: &Address, is_syn: bool, settings: &Settings) -> Step<()> {
    if settings.guard != 0 {
        match listed(source, settings.guard - 1) {
            GuardVerdict::Deny => return Err(Verdict::drop(Reason::Denied)),
            GuardVerdict::Allow => {
                count::reason(Reason::Allowed);
                return Ok(());
            }
            GuardVerdict::Unlisted | GuardVerdict::Partial => {}
        }
    }
    if settings.source_packets_per_s | settings.source_connections_per_s == 0 {
        return Ok(());
    }
    measure(source, is_syn, settings)
}

/// What the list in force says of an address.
#[inline(always)]
fn listed(source: &Address, list: u32) -> GuardVerdict {
    if source.is_v4() {
        let host = u32::from_be(source.v4_word());
        let (block, word, bits) = v4_filter(host >> 8);
        if maps::guard_v4_filter(list, block, word) & bits != bits {
            return GuardVerdict::Unlisted;
        }
        let (block, word, shift) = v4_block(host >> 8);
        match GuardVerdict::of((maps::guard_v4(list, block, word) >> shift) as u32) {
            GuardVerdict::Partial => {
                let (word, shift) = ((host & 255) / 32, (host & 31) * 2);
                GuardVerdict::of((maps::guard_hosts(list, host >> 8, word) >> shift) as u32)
            }
            verdict @ (GuardVerdict::Unlisted | GuardVerdict::Deny | GuardVerdict::Allow) => verdict,
        }
    } else {
        let [short, middle, long] = v6_filter_bits(source);
        if filtered(list, short) | filtered(list, middle) | filtered(list, long) == 0 {
            return GuardVerdict::Unlisted;
        }
        GuardVerdict::of(maps::guard_v6(list, source))
    }
}

#[inline(always)]
fn filtered(list: u32, bit: u32) -> u64 {
    maps::guard_v6_filter(list, bit >> 12, (bit >> 6) & 63) >> (bit & 63) & 1
}

/// Count the packet for its source.
#[inline(always)]
fn measure(source: &Address, is_syn: bool, settings: &Settings) -> Step<()> {
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
        return Err(Verdict::drop(Reason::SourceConnections));
    }
    if settings.source_packets_per_s != 0 && packets > settings.source_packets_per_s {
        return Err(Verdict::drop(Reason::SourcePackets));
    }
    Ok(())
}
