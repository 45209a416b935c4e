//! Making a ring, or saying why there can be none and what to do about it.

use core::fmt;
use io_uring::{IoUring, opcode};

use super::{
    Features, Forced,
    features::{has_incremental_buffers, has_receive_credit},
    seal::has_kernel_tls,
};

/// How to make a ring.
#[derive(Clone, Copy, Debug)]
pub struct UringOptions {
    /// Bytes of receive buffers.
    pub arena_bytes: u32,
    /// What to do without.
    pub forced: Forced,
}

impl Default for UringOptions {
    fn default() -> Self {
        Self { arena_bytes: 4 << 20, forced: Forced::default() }
    }
}

/// Entries of the submission queue; a turn with more submits in between.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue; the kernel keeps what goes beyond.
const COMPLETIONS: u32 = 8192;

/// Why no ring can be had: cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the kernel said.
    pub cause: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.cause, self.remedy)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn ring(error: &std::io::Error) -> Self {
        let remedy = match error.raw_os_error() {
            Some(libc::EPERM) => "allow it: sysctl kernel.io_uring_disabled=0, or the container's seccomp profile",
            Some(libc::ENOSYS) => {
                "a kernel of 6.1 or later with CONFIG_IO_URING is needed, and a seccomp profile that lets io_uring_setup through"
            }
            Some(libc::ENOMEM) => "raise the memory lock limit (ulimit -l) or use fewer workers",
            _ => "a kernel of 6.1 or later is needed",
        };
        Self { cause: format!("io_uring cannot be set up: {error}"), remedy }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a map_err target")]
    pub(super) fn buffers(error: std::io::Error) -> Self {
        Self {
            cause: format!("receive buffers cannot be registered: {error}"),
            remedy: "raise the memory lock limit (ulimit -l), or use a kernel of 6.1 or later",
        }
    }
}

/// A ring and what it can do.
pub(super) fn ring(options: UringOptions) -> Result<(IoUring, Features), Refusal> {
    let defer = !options.forced.no_defer_taskrun;
    let (mut ring, defer_taskrun) = match build(defer) {
        Ok(ring) => (ring, defer),
        Err(error) if defer && error.raw_os_error() == Some(libc::EINVAL) => (build(false).map_err(|error| Refusal::ring(&error))?, false),
        Err(error) => return Err(Refusal::ring(&error)),
    };
    require_opcodes(&ring)?;
    let features = Features {
        defer_taskrun,
        incremental_buffers: !options.forced.no_incremental_buffers && has_incremental_buffers(&ring),
        receive_credit: !options.forced.no_receive_credit && has_receive_credit(&mut ring),
        splice: !options.forced.no_splice,
        kernel_tls: !options.forced.no_kernel_tls && has_kernel_tls(),
    };
    Ok((ring, features))
}

fn build(defer_taskrun: bool) -> std::io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(COMPLETIONS).setup_submit_all().setup_coop_taskrun().setup_taskrun_flag().dontfork();
    if defer_taskrun {
        builder.setup_single_issuer().setup_defer_taskrun();
    }
    builder.build(SUBMISSIONS)
}

fn require_opcodes(ring: &IoUring) -> Result<(), Refusal> {
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| Refusal::ring(&error))?;
    let needed = [
        (opcode::Accept::CODE, "ACCEPT"),
        (opcode::Recv::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::SendMsg::CODE, "SENDMSG"),
        (opcode::Connect::CODE, "CONNECT"),
        (opcode::Close::CODE, "CLOSE"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
    ];
    for (code, name) in needed {
        if !probe.is_supported(code) {
            return Err(Refusal { cause: format!("io_uring has no IORING_OP_{name}"), remedy: "a kernel of 6.1 or later is needed" });
        }
    }
    Ok(())
}
