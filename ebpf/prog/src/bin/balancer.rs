//! The program at the interfaces of a balancer.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::EbpfContext as _;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use prog::Packet;

    /// Forward what belongs to a VIP; everything else goes up to the stack.
    #[xdp(frags)]
    pub(crate) fn balance(context: XdpContext) -> u32 {
        prog::balance::balance(&Packet::new(context.as_ptr().cast()))
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// Helpers that the kernel gives to GPL-compatible programs only are used.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

/// On any other machine there is nothing to run: it is built there so that the lints see it.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
