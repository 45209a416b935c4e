//! The program at the interfaces of a balancer: its entry, and its rooms. Beside it the ones that put probes on their way and ask
//! for next hops.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "built for this machine only so that the lints see it"))]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]
#![expect(clippy::inline_always, reason = "one function is what the verifier understands and what is fast")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "header fields are cut to their width on purpose")]

mod budget;
mod cookie;
mod count;
mod deliver;
mod encap;
mod fragment;
mod guard;
mod hop;
mod icmp;
mod log;
mod maps;
mod nat;
mod probe;
mod quic;
mod reset;
mod sample;
mod slot;
mod story;
mod straight;
mod too_big;
mod vip;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::EbpfContext as _;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use prog::packet::Packet;

    /// Forward what belongs to a VIP; everything else goes up to the stack.
    #[xdp(frags)]
    pub(crate) fn balance(context: XdpContext) -> u32 {
        crate::story::balance(context.as_ptr().cast())
    }

    /// Put a probe's packet on its way to one backend. It is never attached: userspace runs it and sends what comes of it.
    #[xdp]
    pub(crate) fn probe(context: XdpContext) -> u32 {
        crate::probe::probe(&Packet::new(context.as_ptr().cast()))
    }

    /// Ask for a next hop. It is never attached either: userspace writes what it says into `BACKENDS`.
    #[xdp]
    pub(crate) fn hop(context: XdpContext) -> u32 {
        crate::hop::hop(&Packet::new(context.as_ptr().cast()))
    }
}

/// There is nothing to run outside the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
