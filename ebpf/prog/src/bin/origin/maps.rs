//! The maps of the decapsulation program.
#![expect(unsafe_code, reason = "map values are memory that the kernel lends: each access says why it is right")]

use abi::{DecapSettings, REASONS_MAX};
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;

#[btf_map]
static DECAP: Array<DecapSettings, 1> = Array::new();
#[btf_map]
static DECAP_REASONS: PerCpuArray<u64, { REASONS_MAX as usize }> = PerCpuArray::new();

/// What this origin accepts.
#[inline(always)]
pub(crate) fn settings() -> Option<&'static DecapSettings> {
    DECAP.get(0)
}

/// A reason's counter on this CPU.
#[inline(always)]
pub(crate) fn reason(number: u32) -> Option<&'static mut u64> {
    // SAFETY: this CPU's own, and a program is not interrupted by itself.
    DECAP_REASONS.get_ptr_mut(number).map(|count| unsafe { &mut *count })
}
