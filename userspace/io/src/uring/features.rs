//! What this kernel's io_uring can do, each thing tried on its own: version numbers lie where distributions backport.

use core::fmt;
use io_uring::{IoUring, opcode, squeue, types};
use std::os::{fd::AsRawFd, unix::net::UnixStream};

use super::buffers::BufferRing;

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a kernel")]
pub struct Features {
    /// Completions are gathered only when asked for (`DEFER_TASKRUN`, 6.1).
    pub defer_taskrun: bool,
    /// Buffers are consumed bit by bit (`IOU_PBUF_RING_INC`, 6.12); else each reception uses up one of 16 KiB.
    pub incremental_buffers: bool,
    /// A multishot reception ends by itself after a credit of bytes (6.17); else receptions are single.
    pub receive_credit: bool,
    /// Large bodies move inside the kernel.
    pub splice: bool,
    /// The kernel seals TLS records (the module `tls`), so that bodies move inside it to TLS clients too.
    pub kernel_tls: bool,
}

/// What to do without although the kernel has it: how each fallback is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag per fallback")]
pub struct Forced {
    /// Without `DEFER_TASKRUN`.
    pub no_defer_taskrun: bool,
    /// Without buffers consumed bit by bit.
    pub no_incremental_buffers: bool,
    /// Without credits.
    pub no_receive_credit: bool,
    /// Without splice.
    pub no_splice: bool,
    /// Without records sealed by the kernel.
    pub no_kernel_tls: bool,
}

impl Forced {
    /// The fallback of that name, as `--without` takes it.
    pub fn set(&mut self, name: &str) -> Result<(), String> {
        let flag = match name {
            "defer_taskrun" => &mut self.no_defer_taskrun,
            "incremental_buffers" => &mut self.no_incremental_buffers,
            "receive_credit" => &mut self.no_receive_credit,
            "splice" => &mut self.no_splice,
            "kernel_tls" => &mut self.no_kernel_tls,
            _ => {
                return Err(format!(
                    "no feature `{name}`; there are defer_taskrun, incremental_buffers, receive_credit, splice, kernel_tls"
                ));
            }
        };
        *flag = true;
        Ok(())
    }
}

impl fmt::Display for Features {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |yes| if yes { "yes" } else { "no (falls back)" };
        writeln!(out, "  defer_taskrun        {}", word(self.defer_taskrun))?;
        writeln!(out, "  incremental_buffers  {}", word(self.incremental_buffers))?;
        writeln!(out, "  receive_credit       {}", word(self.receive_credit))?;
        writeln!(out, "  splice               {}", word(self.splice))?;
        write!(out, "  kernel_tls           {}", word(self.kernel_tls))
    }
}

/// Offset of `optlen` in a submission entry, where a multishot receive takes its total.
const OPTLEN_OFFSET: usize = 44;

/// Limits a multishot receive to `credit` bytes in all.
#[expect(clippy::cast_ptr_alignment, reason = "44 is a multiple of four, and an entry is aligned to eight")]
pub(super) fn with_credit(mut entry: squeue::Entry, credit: u32) -> squeue::Entry {
    let base = (&raw mut entry).cast::<u8>();
    // SAFETY: an entry is 64 bytes.
    let field = unsafe { base.add(OPTLEN_OFFSET) };
    // SAFETY: the field is four bytes at a multiple of four, unused by the crate for this opcode.
    unsafe { field.cast::<u32>().write(credit) };
    entry
}

/// Whether buffers can be registered to be consumed bit by bit.
pub(super) fn has_incremental_buffers(ring: &IoUring) -> bool {
    let registered = BufferRing::register(ring, 0, true);
    let known = registered.is_ok();
    if known {
        let _unregistered = ring.submitter().unregister_buf_ring(super::GROUP);
    }
    known
}

/// Whether a multishot receive obeys a credit: two bytes are sent, one is the credit, so exactly one completion without `more` must come.
pub(super) fn has_receive_credit(ring: &mut IoUring) -> bool {
    try_receive_credit(ring).unwrap_or(false)
}

fn try_receive_credit(ring: &mut IoUring) -> std::io::Result<bool> {
    use std::io::Write as _;
    let buffers = BufferRing::register(ring, 0, false)?;
    let (ours, mut theirs) = UnixStream::pair()?;
    theirs.write_all(b"ab")?;
    let entry = opcode::RecvMulti::new(types::Fd(ours.as_raw_fd()), super::GROUP).build();
    let entry = with_credit(entry, 1).user_data(u64::MAX);
    // SAFETY: the entry points to nothing; both sockets outlive its last completion, which is awaited here or cancelled by their close.
    let pushed = unsafe { ring.submission().push(&entry) };
    pushed.map_err(std::io::Error::other)?;
    let wait = types::Timespec::new().sec(1);
    ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&wait))?;
    let first = ring.completion().next();
    let obeyed = first.as_ref().is_some_and(|first| first.result() >= 1 && !io_uring::cqueue::more(first.flags()));
    if !obeyed && first.is_some_and(|first| io_uring::cqueue::more(first.flags())) {
        theirs.shutdown(std::net::Shutdown::Both)?;
        ring.submit_and_wait(1)?;
        ring.completion().for_each(drop);
    }
    ring.submitter().unregister_buf_ring(super::GROUP)?;
    drop(buffers);
    Ok(obeyed)
}
