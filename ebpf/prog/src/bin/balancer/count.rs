//! Counting: each CPU has its own counters, so it costs an addition.

use crate::maps;
use abi::{Counters, Reason};

/// Something noteworthy happened.
#[inline(always)]
pub(crate) fn reason(reason: Reason) {
    number(reason as u32);
}

/// The same by the reason's number.
#[inline(always)]
pub(crate) fn number(reason: u32) {
    if let Some(count) = maps::reason(reason) {
        *count += 1;
    }
}

/// A packet of `bytes` bytes went to a service's backend.
#[inline(always)]
pub(crate) fn forwarded(service: u32, backend: u32, bytes: u16) {
    add(maps::service_counters(service), bytes);
    add(maps::backend_counters(backend), bytes);
}

/// A packet of `bytes` bytes came to a service that ends at our own listener.
#[inline(always)]
pub(crate) fn terminated(service: u32, bytes: u16) {
    add(maps::service_counters(service), bytes);
}

#[inline(always)]
fn add(counters: Option<&mut Counters>, bytes: u16) {
    if let Some(counters) = counters {
        counters.packets += 1;
        counters.bytes += u64::from(bytes);
    }
}
