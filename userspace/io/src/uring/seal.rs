//! TLS records sealed by the kernel: whether it has that, giving it a key, and ending a connection so that nothing is lost.
//!
//! What a Send or Splice brings is taken record by record, and a record that TCP has no room for waits in front of its queue, in a list that
//! `shutdown` and `close` know nothing of: they would lose it. The one way to see that list empty is to count: what the kernel was given, with
//! what each record adds, against what TCP has in its queue or sent.

use io_uring::{opcode, types};
use std::os::fd::AsRawFd;

use super::{Uring, borrow, tcp};
use crate::{
    Completion, Errno, Fd, Kind, Outcome, Token,
    cipher::{CLOSE_NOTIFY, KernelCipher},
};

/// `linux/tcp.h`, `linux/tls.h`: what libc does not have.
const TCP_ULP: i32 = 31;
const TLS_TX: i32 = 1;
const TLS_SET_RECORD_TYPE: i32 = 1;
/// Bytes of the largest `struct tls12_crypto_info_*` that we give.
const INFO_BYTES_MAX: usize = 56;
/// Bytes of a record's number, the last field of that.
const SEQUENCE_BYTES: usize = 8;
/// Looks at a socket that could send, but whose last records the kernel has not passed on: a thread of its own does that soon. Beyond so many
/// the count cannot be right, and the connection is reset rather than looked at for ever.
const LOOKS_MAX: u32 = 10_000;

/// A socket whose records the kernel seals: where TCP and the records stood when that began.
pub(super) struct Begun {
    place: u64,
    sequence: u64,
    expansion: u64,
    info_bytes: usize,
}

/// A Goodbye that is out.
pub(super) struct Parting {
    fd: Fd,
    given: u64,
    /// Whether to wait where it cannot be done at once.
    wait: bool,
    told: bool,
    looks: u32,
}

/// Whether the kernel has it: asked for on a socket that is not connected it refuses by saying that. (Where it is a module that is not loaded,
/// only who may administer the network has it loaded by asking.)
pub(super) fn has_kernel_tls() -> bool {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    );
    socket.is_ok_and(|socket| set_option(Fd(socket.as_raw_fd()), libc::IPPROTO_TCP, TCP_ULP, b"tls") == Err(Errno(libc::ENOTCONN)))
}

impl Uring {
    pub(crate) fn encrypt(&mut self, fd: Fd, cipher: &dyn KernelCipher) -> Result<(), Errno> {
        if !self.features.kernel_tls {
            return Err(Errno(libc::ENOPROTOOPT));
        }
        let place = tcp::written(fd)?;
        set_option(fd, libc::IPPROTO_TCP, TCP_ULP, b"tls")?;
        // Refused, it is still a socket like any other.
        set_option(fd, libc::SOL_TLS, TLS_TX, cipher.info())?;
        let begun = Begun { place, sequence: cipher.sequence(), expansion: cipher.expansion() as u64, info_bytes: cipher.info().len() };
        self.sealed.insert(fd.0, begun);
        Ok(())
    }

    pub(crate) fn sealed_sequence(&self, fd: Fd) -> Result<u64, Errno> {
        let begun = self.sealed.get(&fd.0).ok_or(Errno(libc::ENOPROTOOPT))?;
        let mut info = [0; INFO_BYTES_MAX];
        let length = get_option(fd, libc::SOL_TLS, TLS_TX, &mut info[..begun.info_bytes])?;
        let end = info[..length].last_chunk::<SEQUENCE_BYTES>().ok_or(Errno(libc::EIO))?;
        Ok(u64::from_be_bytes(*end))
    }

    pub(super) fn begin_goodbye(&mut self, slot: u32, (fd, given, wait): (Fd, u64, bool)) {
        self.step_goodbye(slot, Parting { fd, given, wait, told: false, looks: 0 });
    }

    /// A poll has answered.
    pub(super) fn continue_goodbye(&mut self, slot: u32, polled: Result<u64, Errno>) {
        let Some(parting) = self.partings.remove(&slot) else { return };
        match polled {
            Ok(_) => self.step_goodbye(slot, parting),
            Err(errno) => self.goodbye_done(slot, Err(errno)),
        }
    }

    /// It need not be waited for any more: a poll that has answered before its cancel must not be followed by another.
    pub(super) fn hurry_goodbye(&mut self, slot: u32) {
        if let Some(parting) = self.partings.get_mut(&slot) {
            parting.wait = false;
        }
    }

    fn step_goodbye(&mut self, slot: u32, mut parting: Parting) {
        let done = match self.try_goodbye(&mut parting) {
            Ok(true) => Ok(0),
            Ok(false) if parting.looks > LOOKS_MAX => Err(Errno::TIMEDOUT),
            Ok(false) if !parting.wait => Err(Errno::AGAIN),
            Ok(false) => {
                let entry = opcode::PollAdd::new(types::Fd(parting.fd.0), u32::from(libc::POLLOUT.unsigned_abs())).build();
                self.partings.insert(slot, parting);
                return self.push(&entry, Token { kind: Kind::Goodbye, slot });
            }
            Err(errno) => Err(errno),
        };
        self.goodbye_done(slot, done);
    }

    /// Whether the peer is told and nothing waits in front of TCP.
    fn try_goodbye(&self, parting: &mut Parting) -> Result<bool, Errno> {
        if !parting.told {
            match send_goodbye(parting.fd) {
                Ok(()) => parting.told = true,
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        parting.looks += 1;
        let begun = self.sealed.get(&parting.fd.0).ok_or(Errno(libc::ENOPROTOOPT))?;
        let records = self.sealed_sequence(parting.fd)?.wrapping_sub(begun.sequence);
        let whole = parting.given + CLOSE_NOTIFY.1.len() as u64 + records * begun.expansion;
        match tcp::written(parting.fd) {
            Ok(place) => Ok(place.wrapping_sub(begun.place) >= whole),
            // It does not hold still.
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn goodbye_done(&mut self, slot: u32, result: Result<u64, Errno>) {
        self.ready.push(Completion { token: Token { kind: Kind::Goodbye, slot }, outcome: Outcome::Done(result), more: false });
    }
}

fn set_option(fd: Fd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_too_long| Errno(libc::EINVAL))?;
    // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
    let result = unsafe { libc::setsockopt(fd.0, level, name, value.as_ptr().cast(), length) };
    if result < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Fills `value`; gives how many bytes there were.
fn get_option(fd: Fd, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_too_long| Errno(libc::EINVAL))?;
    // SAFETY: the kernel writes at most `length` bytes to `value`, and their number to `length`; both outlive the call.
    let result = unsafe { libc::getsockopt(fd.0, level, name, value.as_mut_ptr().cast(), &raw mut length) };
    if result < 0 { Err(Errno::last()) } else { Ok(value.len().min(length as usize)) }
}

/// The alert, in a record of its own.
fn send_goodbye(fd: Fd) -> Result<(), Errno> {
    let (kind, content) = CLOSE_NOTIFY;
    // `struct cmsghdr` with one byte of data, padded to its alignment.
    let header_bytes = size_of::<libc::cmsghdr>();
    let mut control = (header_bytes + 1).to_ne_bytes().to_vec();
    control.extend_from_slice(&libc::SOL_TLS.to_ne_bytes());
    control.extend_from_slice(&TLS_SET_RECORD_TYPE.to_ne_bytes());
    control.push(kind);
    control.resize(header_bytes + size_of::<usize>(), 0);
    let pieces = [std::io::IoSlice::new(&content)];
    let message = socket2::MsgHdr::new().with_buffers(&pieces).with_control(&control);
    let sent = socket2::SockRef::from(&borrow(fd)).sendmsg(&message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)?;
    // (Two bytes are taken whole or not at all.)
    if sent == content.len() { Ok(()) } else { Err(Errno(libc::EIO)) }
}
