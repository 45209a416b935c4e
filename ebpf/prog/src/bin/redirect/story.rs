//! The way of bytes from one socket to the other.
//!
//! The kernel has no back-pressure here: what is redirected is acknowledged to its sender at once and piles up before the target. So the
//! program itself sees how much has piled up, and once it is too much it redirects no more: the bytes go up to userspace, whose reading makes
//! the sender's window. It never begins again, since bytes that userspace holds must not be overtaken.

use crate::maps;
use abi::Redirection;
use aya_ebpf::bindings::sk_action::{SK_DROP, SK_PASS};
use aya_ebpf::programs::SkBuffContext;

/// Send on what was received, or keep it.
#[inline(always)]
pub(crate) fn redirect(received: &SkBuffContext) -> u32 {
    let length = u64::from(received.len());
    if length == 0 {
        // The bare end of a direction: the socket's state says it, and it must not overtake what is still queued.
        return SK_DROP;
    }
    let source = maps::cookie(received);
    let Some(direction) = maps::redirection(source) else { return SK_PASS };
    if direction.kept == 0 && has_room(direction, length) {
        direction.redirected += length;
        return maps::send_on(received, direction.target);
    }
    if direction.kept == 0 {
        maps::tell_full(source);
    }
    direction.kept += length;
    SK_PASS
}

/// Whether the target may have so much more to send.
#[inline(always)]
fn has_room(direction: &Redirection, length: u64) -> bool {
    let written = direction.start.wrapping_add(direction.redirected);
    // A target that is gone takes nothing; what is sent to it is dropped by the kernel, as its connection is.
    let Some(acknowledged) = maps::acknowledged(direction.target) else { return true };
    written.wrapping_sub(acknowledged).saturating_add(length) <= direction.backlog_max
}
