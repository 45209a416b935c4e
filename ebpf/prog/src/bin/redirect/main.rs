//! The program at sockets that are joined: what one receives the other sends, and userspace is not asked.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "built for this machine only so that the lints see it"))]
#![cfg_attr(target_arch = "bpf", expect(unsafe_code, reason = "sections and symbols are how the loader finds a program"))]
#![expect(clippy::inline_always, reason = "one function is what the verifier understands and what is fast")]

mod maps;
mod story;

#[cfg(target_arch = "bpf")]
mod program {
    // For what every program has to have.
    use prog as _;

    use aya_ebpf::macros::stream_verdict;
    use aya_ebpf::programs::SkBuffContext;

    /// Send on what a socket has received, or keep it for userspace.
    #[stream_verdict]
    pub(crate) fn redirect(context: SkBuffContext) -> u32 {
        crate::story::redirect(&context)
    }
}

/// There is nothing to run outside the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
