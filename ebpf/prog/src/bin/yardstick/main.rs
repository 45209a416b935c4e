//! What the balancer is measured with and against (`cargo xtask bench l4`): never loaded by the product.
//!
//! `drive` makes another packet of the one that the kernel runs programs on, since it runs them on the same one again and again, and hands
//! it to the program under test. `pass` does nothing: what remains of the measurement is `drive` itself. `reference` is the usual design.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "built for this machine only so that the lints see it"))]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]
#![expect(clippy::inline_always, reason = "one function is what the verifier understands and what is fast")]
#![expect(clippy::cast_possible_truncation, reason = "header fields are cut to their width on purpose")]

mod drive;
mod maps;
mod reference;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::EbpfContext as _;
    use aya_ebpf::bindings::xdp_action;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use prog::packet::Packet;

    /// Make the next packet and hand it on.
    #[xdp(frags)]
    pub(crate) fn drive(context: XdpContext) -> u32 {
        let _ready = crate::drive::draw(&Packet::new(context.as_ptr().cast()));
        crate::maps::hand_on(&context);
        xdp_action::XDP_ABORTED
    }

    /// Nothing.
    #[xdp(frags)]
    pub(crate) fn pass(_context: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    /// Room in front of the packet, and nothing else: what any envelope costs at least, its undoing in `drive` included.
    #[xdp(frags)]
    pub(crate) fn grow(context: XdpContext) -> u32 {
        let _grown = Packet::new(context.as_ptr().cast()).grow(20);
        xdp_action::XDP_TX
    }

    /// The usual design.
    #[xdp(frags)]
    pub(crate) fn reference(context: XdpContext) -> u32 {
        crate::reference::balance(&Packet::new(context.as_ptr().cast()))
    }
}

/// There is nothing to run outside the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
