//! Fragments: the first has the ports and says for the others where they go.
//!
//! One map for all CPUs, since pieces of one packet may come to several. Its writes have a budget: a flood of first fragments costs other
//! fragmented packets, and nothing else.

use crate::budget::{self, Budget};
use crate::{count, maps};
use abi::{Fragment, FragmentKey, Reason, Settings};
use prog::parse::{Parsed, Piece};

/// Give a later fragment the ports of its first, and say which backend that went to.
#[inline(always)]
pub(crate) fn recall(parsed: &mut Parsed) -> Option<u32> {
    let first = maps::fragment(&key(parsed))?;
    parsed.flow.source_port = first.source_port;
    parsed.flow.destination_port = first.destination_port;
    Some(first.backend)
}

/// Remember where a first fragment goes.
#[inline(always)]
pub(crate) fn remember(parsed: &Parsed, backend: u32, settings: &Settings) {
    if parsed.piece != Piece::First {
        return;
    }
    let ports = Fragment { source_port: parsed.flow.source_port, destination_port: parsed.flow.destination_port, backend };
    if !budget::spend(Budget::Fragments, settings.fragment_writes_per_s, settings) || !maps::write_fragment(&key(parsed), &ports) {
        count::reason(Reason::FragmentUnwritten);
    }
}

#[inline(always)]
fn key(parsed: &Parsed) -> FragmentKey {
    FragmentKey {
        source: parsed.flow.source,
        destination: parsed.flow.destination,
        identification: parsed.identification,
        protocol: parsed.flow.protocol,
        padding: [0; 3],
    }
}
