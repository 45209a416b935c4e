//! What the kernel tells of a TCP connection, and bytes moved from one to another without waiting.

use core::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use rustix::{
    buffer::spare_capacity,
    io::Errno as Word,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::borrow;
use crate::{Errno, Fd, passed::Passed, socket::Ended};

/// Looks, before a count that does not hold still is given up.
const LOOKS_MAX: u32 = 64;
/// Bytes received at a time.
const BLOCK_BYTES: usize = 64 * 1024;
/// The state of a connection that is over (`TCP_CLOSE`).
const CLOSED: u8 = 7;

/// Bytes ever given to the kernel for this connection to send: those acknowledged, and those that are not.
pub(crate) fn written(fd: Fd) -> Result<u64, Errno> {
    for _ in 0..LOOKS_MAX {
        let before = acknowledged(fd)?;
        let waiting = unacknowledged(fd)?;
        // Both counts are of one moment when nothing was acknowledged between them.
        if acknowledged(fd)? == before {
            return Ok(before + waiting);
        }
    }
    Err(Errno::AGAIN)
}

/// The number of a socket.
pub(crate) fn cookie(fd: Fd) -> Result<u64, Errno> {
    rustix::net::sockopt::socket_cookie(borrow(fd)).map_err(|errno| Errno(errno.raw_os_error()))
}

fn acknowledged(fd: Fd) -> Result<u64, Errno> {
    let info = info(fd)?;
    if info.tcpi_state == CLOSED { Err(Errno::CONNRESET) } else { Ok(info.tcpi_bytes_acked) }
}

fn info(fd: Fd) -> Result<libc::tcp_info, Errno> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a small structure");
    // SAFETY: the kernel writes at most `length` bytes of what is pointed to.
    let result =
        unsafe { libc::getsockopt(borrow(fd).as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    if result < 0 {
        return Err(Errno::last());
    }
    // SAFETY: integers, all of them zero or written.
    Ok(unsafe { info.assume_init() })
}

/// Bytes in the kernel that are not acknowledged.
pub(crate) fn unacknowledged(fd: Fd) -> Result<u64, Errno> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one integer.
    if unsafe { libc::ioctl(borrow(fd).as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } < 0 {
        return Err(Errno::last());
    }
    Ok(u64::from(count.unsigned_abs()))
}

/// Receives what waits at a socket and gives it to another, until nothing waits, the other takes no more, or it was enough.
pub(crate) fn pass(from: Fd, to: Fd, bytes_max: u64) -> Passed {
    let mut passed = Passed::default();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while passed.moved < bytes_max && passed.rest.is_empty() && passed.broken.is_none() {
        block.clear();
        match recv(borrow(from), spare_capacity(&mut block), RecvFlags::DONTWAIT) {
            Ok(_) if block.is_empty() => passed.ended = Some(Ended::Closed),
            Ok(_) => {
                give(to, &block, &mut passed);
                continue;
            }
            Err(Word::INTR) => continue,
            Err(Word::AGAIN) => passed.is_empty = true,
            Err(errno) => passed.ended = Some(Ended::Broken(Errno(errno.raw_os_error()))),
        }
        break;
    }
    passed
}

fn give(to: Fd, bytes: &[u8], passed: &mut Passed) {
    match send(borrow(to), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(count) => {
            passed.moved += count as u64;
            passed.rest.extend_from_slice(&bytes[count..]);
        }
        Err(Word::AGAIN | Word::INTR) => passed.rest.extend_from_slice(bytes),
        Err(errno) => passed.broken = Some(Errno(errno.raw_os_error())),
    }
}
