//! What becomes of a packet.
//!
//! The error side of a [`Step`] is not failure but decision: a room that knows the end says so with `?`, and the story stops there.

use abi::Reason;
use aya_ebpf::bindings::xdp_action;

/// The end of a packet's way through a program: the kernel's action in the low byte, one more than the reason to count above it.
///
/// One number and no enum: an enum's variants share a register, and what another variant left there may be a pointer, which the verifier does
/// not let a program look at.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Verdict(u32);

/// The next thing, or the end.
pub type Step<T> = Result<T, Verdict>;

const REASON_SHIFT: u32 = 8;

impl Verdict {
    /// Not ours: up to the stack.
    pub const PASS: Self = Self(xdp_action::XDP_PASS);
    /// Out of the interface it came in by.
    pub const TRANSMIT: Self = Self(xdp_action::XDP_TX);

    /// Understood and taken: nobody else needs it.
    pub const TAKEN: Self = Self(xdp_action::XDP_DROP);

    /// Up to the stack, counted.
    #[inline(always)]
    pub const fn pass_for(reason: Reason) -> Self {
        Self(xdp_action::XDP_PASS | (reason as u32 + 1) << REASON_SHIFT)
    }

    /// Dropped, counted.
    #[inline(always)]
    pub const fn drop(reason: Reason) -> Self {
        Self(xdp_action::XDP_DROP | (reason as u32 + 1) << REASON_SHIFT)
    }

    /// Out of another interface: the kernel's answer to the redirection.
    #[inline(always)]
    pub const fn redirect(action: u32) -> Self {
        Self(action & ((1 << REASON_SHIFT) - 1))
    }

    /// The kernel's number.
    #[inline(always)]
    pub const fn action(self) -> u32 {
        self.0 & ((1 << REASON_SHIFT) - 1)
    }

    /// The number of the reason to count.
    #[inline(always)]
    pub const fn reason(self) -> Option<u32> {
        (self.0 >> REASON_SHIFT).checked_sub(1)
    }

    /// Was it dropped?
    #[inline(always)]
    pub const fn is_drop(self) -> bool {
        self.action() == xdp_action::XDP_DROP
    }
}
