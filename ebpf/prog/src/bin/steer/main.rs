//! The programs that bring connections to our own listeners: `lookup` finds the listener of a VIP, whatever it is bound to; `choose` finds the
//! worker of a connection to any of our listeners.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "built for this machine only so that the lints see it"))]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]
#![expect(clippy::inline_always, reason = "one function is what the verifier understands and what is fast")]
#![expect(clippy::cast_possible_truncation, reason = "the kernel gives ports in words")]

mod choose;
mod lookup;
mod maps;

#[cfg(target_arch = "bpf")]
mod program {
    // For what every program has to have.
    use prog as _;

    use aya_ebpf::macros::{sk_lookup, sk_reuseport};
    use aya_ebpf::programs::{SkLookupContext, SkReuseportContext};

    /// The listener's action: go on with what was found, or as if we were not here.
    const PASS: u32 = 1;

    /// Find the listener of a VIP's connection.
    #[sk_lookup]
    pub(crate) fn lookup(context: SkLookupContext) -> u32 {
        crate::lookup::assign(&context);
        PASS
    }

    /// Find the worker of a connection. Where none is found the kernel goes by its own hash.
    #[sk_reuseport]
    pub(crate) fn choose(context: SkReuseportContext) -> u32 {
        crate::choose::select(&context);
        PASS
    }
}

/// There is nothing to run outside the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
