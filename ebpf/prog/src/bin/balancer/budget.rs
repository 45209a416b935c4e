//! Budgets: how often in a second this machine does what an attacker could make it do without end.
//!
//! Each CPU has its share and counts alone: no CPU waits for another, and the whole never exceeds the limit.
#![expect(unsafe_code, reason = "the clock is a helper of the kernel")]

use crate::maps::{self, Spent};
use abi::Settings;
use aya_ebpf::helpers;

/// What may be spent.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Budget {
    /// New pins and UDP sessions.
    Pins,
    /// New fragmented packets.
    Fragments,
    /// New flows of full NAT.
    NatFlows,
    /// Answers to echo requests.
    Echoes,
    /// ICMP errors.
    Errors,
    /// SYNs that go up to the listener under flood.
    Trickle,
}

const NANOSECONDS: u64 = 1_000_000_000;

/// Seconds since boot: coarse, since it is read for packets.
#[inline(always)]
pub(crate) fn second() -> u32 {
    // SAFETY: takes nothing.
    let now = unsafe { helpers::bpf_ktime_get_coarse_ns() };
    (now / NANOSECONDS) as u32
}

/// Spend one: false when this CPU's share of this second is gone.
#[inline(always)]
pub(crate) fn spend(budget: Budget, per_second: u32, settings: &Settings) -> bool {
    let Some(spent) = maps::spent(budget as u32) else { return false };
    let now = second();
    if spent.second != now {
        *spent = Spent { second: now, count: 0 };
    }
    // A share is never rounded up: the sum of all may not exceed the whole. But a limit below the number of CPUs is one for each.
    let share = (per_second / settings.cpus.max(1)).max(per_second.min(1));
    if spent.count >= share {
        return false;
    }
    spent.count += 1;
    true
}
