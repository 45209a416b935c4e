//! What one slot's operations own while the kernel may read it.

use buf::Chunk;
use io_uring::{opcode, squeue, types};
use model::Address;
use socket2::SockAddr;
use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};

use crate::Errno;

/// Pieces of the Send that is out, the address of the Connect, the bell's descriptor.
#[derive(Default)]
pub(super) struct Flight {
    pieces: Vec<Chunk>,
    rare: Option<Box<Rare>>,
}

/// What few slots need at a time.
#[derive(Default)]
struct Rare {
    vectors: Vec<libc::iovec>,
    message: Option<libc::msghdr>,
    address: Option<SockAddr>,
    bell: Option<(Arc<OwnedFd>, u64)>,
}

impl Flight {
    pub(super) fn send(&mut self, fd: types::Fd, pieces: Vec<Chunk>, flags: i32) -> squeue::Entry {
        self.pieces = pieces;
        if let [piece] = &self.pieces[..] {
            return opcode::Send::new(fd, piece.as_ptr(), u32::try_from(piece.len()).unwrap_or(u32::MAX)).flags(flags).build();
        }
        let rare = self.rare.get_or_insert_default();
        rare.vectors.clear();
        // More than the kernel takes at once is a short send, and the rest follows.
        let vectors = self.pieces.iter().take(libc::UIO_MAXIOV as usize);
        rare.vectors.extend(vectors.map(|piece| libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() }));
        let message = rare.message.insert(empty_message());
        message.msg_iov = rare.vectors.as_mut_ptr();
        message.msg_iovlen = rare.vectors.len();
        opcode::SendMsg::new(fd, message).flags(flags.unsigned_abs()).build()
    }

    pub(super) fn sent(&mut self) -> Vec<Chunk> {
        core::mem::take(&mut self.pieces)
    }

    pub(super) fn connect(&mut self, fd: types::Fd, address: &Address) -> Result<squeue::Entry, Errno> {
        let address = match address {
            Address::Tcp(tcp) => SockAddr::from(*tcp),
            Address::Unix(path) => SockAddr::unix(&**path)?,
        };
        let address = self.rare.get_or_insert_default().address.insert(address);
        Ok(opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build())
    }

    pub(super) fn connected(&mut self) {
        self.rare = None;
    }

    /// Reading the counter clears it, so one read serves every ring since the last.
    pub(super) fn watch(&mut self, descriptor: Arc<OwnedFd>) -> squeue::Entry {
        let (descriptor, counter) = self.rare.get_or_insert_default().bell.insert((descriptor, 0));
        opcode::Read::new(types::Fd(descriptor.as_raw_fd()), core::ptr::from_mut(counter).cast(), 8).build()
    }

    pub(super) fn rung(&mut self, more: bool) {
        if !more {
            self.rare = None;
        }
    }
}

#[expect(unsafe_code, reason = "msghdr has padding and no constructor")]
fn empty_message() -> libc::msghdr {
    // SAFETY: all zeroes is a valid empty message.
    unsafe { core::mem::zeroed() }
}
