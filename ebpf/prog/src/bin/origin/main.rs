//! The program at the interfaces of an origin: its entry, and its rooms.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "built for this machine only so that the lints see it"))]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]
#![expect(clippy::inline_always, reason = "one function is what the verifier understands and what is fast")]

mod maps;
mod story;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::EbpfContext as _;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use prog::packet::Packet;

    /// Open envelopes that are for this origin; everything else goes up to the stack.
    #[xdp(frags)]
    pub(crate) fn decapsulate(context: XdpContext) -> u32 {
        crate::story::decapsulate(&Packet::new(context.as_ptr().cast()))
    }
}

/// There is nothing to run outside the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
