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

/// Flights kept for reuse.
const SPARE_MAX: usize = 256;

/// What is out, by slot: an idle connection has nothing here but an empty place.
#[derive(Default)]
pub(super) struct Flights {
    out: Vec<Option<Box<Flight>>>,
    #[expect(clippy::vec_box, reason = "the boxes are what is spared; the kernel may hold pointers into one that is out")]
    spare: Vec<Box<Flight>>,
}

impl Flights {
    /// The flight of a slot that begins an operation.
    pub(super) fn of(&mut self, slot: u32) -> &mut Flight {
        let slot = slot as usize;
        if self.out.len() <= slot {
            self.out.resize_with(slot + 1, || None);
        }
        self.out[slot].get_or_insert_with(|| self.spare.pop().unwrap_or_default())
    }

    /// The slot's operation has ended: gives the pieces back.
    pub(super) fn land(&mut self, slot: u32) -> Vec<Chunk> {
        let Some(mut flight) = self.out.get_mut(slot as usize).and_then(Option::take) else { return Vec::new() };
        flight.bell = None;
        let pieces = core::mem::take(&mut flight.pieces);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(flight);
        }
        pieces
    }
}

/// Pieces of the Send that is out, the address of the Connect, the bell's descriptor: a slot has one of them at a time.
#[derive(Default)]
pub(super) struct Flight {
    pieces: Vec<Chunk>,
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
        self.vectors.clear();
        // More than the kernel takes at once is a short send, and the rest follows.
        let vectors = self.pieces.iter().take(libc::UIO_MAXIOV as usize);
        self.vectors.extend(vectors.map(|piece| libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() }));
        let message = self.message.insert(empty_message());
        message.msg_iov = self.vectors.as_mut_ptr();
        message.msg_iovlen = self.vectors.len();
        opcode::SendMsg::new(fd, message).flags(flags.unsigned_abs()).build()
    }

    pub(super) fn connect(&mut self, fd: types::Fd, address: &Address) -> Result<squeue::Entry, Errno> {
        let address = match address {
            Address::Tcp(tcp) => SockAddr::from(*tcp),
            Address::Unix(path) => SockAddr::unix(&**path)?,
        };
        let address = self.address.insert(address);
        Ok(opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build())
    }

    /// Reading the counter clears it, so one read serves every ring since the last.
    pub(super) fn watch(&mut self, descriptor: Arc<OwnedFd>) -> squeue::Entry {
        let (descriptor, counter) = self.bell.insert((descriptor, 0));
        opcode::Read::new(types::Fd(descriptor.as_raw_fd()), core::ptr::from_mut(counter).cast(), 8).build()
    }
}

#[expect(unsafe_code, reason = "msghdr has padding and no constructor")]
fn empty_message() -> libc::msghdr {
    // SAFETY: all zeroes is a valid empty message.
    unsafe { core::mem::zeroed() }
}
