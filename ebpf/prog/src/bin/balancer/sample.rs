//! Samples of what was dropped: one of so many, with the frame's first bytes, for somebody to look at.
#![expect(unsafe_code, reason = "clock, chance and the ring's memory are helpers")]

use crate::maps;
use abi::{DropSample, SAMPLE_BYTES};
use aya_ebpf::helpers;
use prog::packet::Packet;

/// Perhaps leave a sample of a packet that is dropped. A full ring loses it: who does not read misses nothing else.
#[inline(always)]
pub(crate) fn leave(packet: &Packet, reason: u32) {
    let Some(settings) = maps::settings() else { return };
    // SAFETY: takes nothing.
    let chance = unsafe { helpers::bpf_get_prandom_u32() };
    if settings.sample_one_in == 0 || chance % settings.sample_one_in != 0 {
        return;
    }
    let Some(mut entry) = maps::sample() else { return };
    let length = packet.length();
    // SAFETY: takes nothing.
    let at_ns = unsafe { helpers::bpf_ktime_get_ns() };
    let sample = entry.write(DropSample {
        at_ns,
        reason,
        interface: packet.interface(),
        length: length as u32,
        padding: 0,
        bytes: [0; SAMPLE_BYTES],
    });
    // No frame is empty; the mask is for the verifier.
    let bytes = 1 + ((length.min(SAMPLE_BYTES) - 1) & (SAMPLE_BYTES - 1));
    // What cannot be read stays zero.
    let _read = packet.load(0, sample.bytes.as_mut_ptr(), bytes as u32);
    entry.submit(0);
}
