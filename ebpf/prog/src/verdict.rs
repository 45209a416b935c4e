//! What becomes of a packet.
//!
//! The error side of a [`Step`] is not failure but decision: a room that knows the end says so with `?`, and the story stops there.

use abi::Reason;
use aya_ebpf::bindings::xdp_action;

/// The end of a packet's way through a program.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Not ours: up to the stack.
    Pass,
    /// Up to the stack, counted.
    PassFor(Reason),
    /// Dropped, counted.
    Drop(Reason),
    /// Out of the interface it came in by.
    Transmit,
    /// Out of another interface: the kernel's answer to the redirection.
    Redirect(u32),
}

/// The next thing, or the end.
pub(crate) type Step<T> = Result<T, Verdict>;

impl Verdict {
    /// The kernel's number.
    #[inline(always)]
    pub(crate) fn action(self) -> u32 {
        match self {
            Self::Pass | Self::PassFor(_) => xdp_action::XDP_PASS,
            Self::Drop(_) => xdp_action::XDP_DROP,
            Self::Transmit => xdp_action::XDP_TX,
            Self::Redirect(action) => action,
        }
    }

    /// What to count.
    #[inline(always)]
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::PassFor(reason) | Self::Drop(reason) => Some(reason),
            Self::Pass | Self::Transmit | Self::Redirect(_) => None,
        }
    }
}
