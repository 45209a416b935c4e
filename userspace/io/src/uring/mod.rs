//! The kernel's half of the seam: operations become submission entries, completion entries become [`Completion`]s.
//!
//! One ring per thread (`SINGLE_ISSUER`, `DEFER_TASKRUN`): completions are gathered only when the loop asks, so that one system call serves
//! everything that happened in a turn. Receptions are multishot, into one ring of buffers that are consumed bit by bit; each carries a
//! credit, so that no peer can fill more than its share before the loop looks. Buffers and addresses that the kernel may read are owned
//! here, by slot, from the submission to the last completion: that is what every `SAFETY` in this folder leans on.
#![expect(unsafe_code, reason = "submission entries carry pointers; each block says who owns what is pointed to")]

mod buffers;
mod features;
mod flight;
mod seal;
mod setup;
mod splice;
pub(crate) mod tcp;

use core::time::Duration;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use model::{Address, Instant};
use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::{FromRawFd, OwnedFd},
    sync::Arc,
};

pub use features::{Features, Forced};
pub use setup::{Refusal, UringOptions};

use crate::{Bell, Completion, Descriptor, Errno, Fd, Kind, Op, Outcome, Token};
use buffers::{BufferRing, GROUP};
use flight::Flights;
use splice::Splice;

/// RFC 9293 §3.1: the flags' byte in a TCP header, and two of them.
const TCP_FLAGS_AT: u32 = 13;
const TCP_SYN: u32 = 0x02;
const TCP_ACK: u32 = 0x10;

/// A worker's io_uring.
pub struct Uring {
    ring: IoUring,
    buffers: BufferRing,
    features: Features,
    flights: Flights,
    splices: HashMap<u32, Splice>,
    spare_pipes: Vec<splice::Pipe>,
    /// Sockets whose records the kernel seals, by descriptor.
    sealed: HashMap<i32, seal::Begun>,
    /// Those that take leave, by slot.
    partings: HashMap<u32, seal::Parting>,
    /// Completions made here, without the kernel's queue.
    ready: Vec<Completion>,
}

impl Uring {
    /// A ring for the calling thread, which must be the one that uses it.
    pub fn new(options: UringOptions) -> Result<Self, Refusal> {
        let (ring, features) = setup::ring(options)?;
        let buffers = BufferRing::register(&ring, options.arena_bytes, features.incremental_buffers).map_err(Refusal::buffers)?;
        Ok(Self {
            ring,
            buffers,
            features,
            flights: Flights::default(),
            splices: HashMap::new(),
            spare_pipes: Vec::new(),
            sealed: HashMap::new(),
            partings: HashMap::new(),
            ready: Vec::new(),
        })
    }

    /// What the kernel has, and what is used of it.
    pub fn features(&self) -> Features {
        self.features
    }

    fn push(&mut self, entry: &squeue::Entry, token: Token) {
        let entry = entry.clone().user_data(u64::from(token.kind as u8) << 32 | u64::from(token.slot));
        loop {
            // SAFETY: whatever the entry points to is owned by `flights` until the operation's last completion.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            if pushed.is_ok() {
                return;
            }
            // The queue is full: hand over what is in it. Transient failures (EBUSY, EINTR) leave it full and are tried again.
            let _retried = self.ring.submit();
        }
    }

    pub(crate) fn submit(&mut self, slot: u32, op: Op) {
        let token = op.token(slot);
        let entry = match op {
            Op::Accept { fd } => opcode::AcceptMulti::new(types::Fd(fd.0)).flags(libc::SOCK_CLOEXEC).build(),
            Op::Receive { fd, credit } => self.receive_entry(fd, credit),
            Op::Send { fd, pieces, wait, last } => {
                // Without `wait` the kernel answers at once; with it, it keeps on until all is sent.
                let patience = match wait {
                    false => libc::MSG_DONTWAIT,
                    // (The flag is none that a kernel which seals would know: it takes some, and the rest is another Send.)
                    true if !self.sealed.is_empty() && self.sealed.contains_key(&fd.0) => 0,
                    true => libc::MSG_WAITALL,
                };
                let flags = libc::MSG_NOSIGNAL | patience | if last { libc::MSG_MORE } else { 0 };
                self.flights.of(slot).send(types::Fd(fd.0), pieces, flags)
            }
            Op::Connect { fd, address } => match self.flights.of(slot).connect(types::Fd(fd.0), &address) {
                Ok(entry) => entry,
                Err(errno) => return self.ready.push(Completion { token, outcome: Outcome::Done(Err(errno)), more: false }),
            },
            Op::Splice { from, to, length } => return self.begin_splice(slot, from, to, length),
            Op::Hangup { fd } => opcode::PollAdd::new(types::Fd(fd.0), u32::from(libc::POLLRDHUP.unsigned_abs())).build(),
            Op::Goodbye { fd, given, wait } => return self.begin_goodbye(slot, (fd, given, wait)),
            Op::Watch { bell } => match bell {
                Bell::Event(descriptor) => self.flights.of(slot).watch(descriptor),
                Bell::Flag(_) => {
                    return self.ready.push(Completion { token, outcome: Outcome::Done(Err(Errno(libc::EBADF))), more: false });
                }
            },
            Op::Close { fd, reset } => {
                if reset {
                    let _best_effort = rustix::net::sockopt::set_socket_linger(borrow(fd), Some(Duration::ZERO));
                }
                self.sealed.remove(&fd.0);
                opcode::Close::new(types::Fd(fd.0)).build()
            }
            Op::Cancel { target } => {
                if target.kind == Kind::Splice
                    && let Some(splice) = self.splices.get_mut(&target.slot)
                {
                    splice.give_up();
                }
                if target.kind == Kind::Goodbye {
                    self.hurry_goodbye(target.slot);
                }
                opcode::AsyncCancel::new(u64::from(target.kind as u8) << 32 | u64::from(target.slot)).build()
            }
        };
        self.push(&entry, token);
    }

    fn receive_entry(&self, fd: Fd, credit: u32) -> squeue::Entry {
        if !self.features.receive_credit {
            // Without credits a multishot could not be bounded: one reception at a time.
            return opcode::Recv::new(types::Fd(fd.0), core::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT);
        }
        let entry = opcode::RecvMulti::new(types::Fd(fd.0), GROUP).build();
        features::with_credit(entry, credit)
    }

    pub(crate) fn wait(&mut self, block: bool, deadline: Instant, completions: &mut Vec<Completion>) {
        self.buffers.give_back();
        let want = usize::from(block && self.ready.is_empty());
        let timeout = if want == 1 && deadline != Instant::NEVER { Some(deadline.since(self.now())) } else { None };
        let entered = match timeout {
            None => self.ring.submit_and_wait(want),
            Some(timeout) => {
                let timeout = types::Timespec::from(timeout);
                self.ring.submitter().submit_with_args(want, &types::SubmitArgs::new().timespec(&timeout))
            }
        };
        if let Err(error) = entered {
            // ETIME: the deadline. EINTR: a signal. EBUSY, EAGAIN: completions must be taken first. Anything else is a bug of ours.
            let expected = matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN));
            assert!(expected, "io_uring_enter: {error}");
        }
        completions.append(&mut self.ready);
        self.gather(completions);
    }

    fn gather(&mut self, completions: &mut Vec<Completion>) {
        let mut polled = Vec::new();
        for entry in self.ring.completion() {
            let (data, result, flags) = (entry.user_data(), entry.result(), entry.flags());
            let Some(kind) = Kind::from_number(u8::try_from(data >> 32).unwrap_or(u8::MAX)) else { continue };
            let token = Token { kind, slot: low_half(data) };
            let more = cqueue::more(flags);
            let counted = if result < 0 { Err(Errno(-result)) } else { Ok(u64::from(result.unsigned_abs())) };
            let outcome = match kind {
                Kind::Accept => Outcome::Accepted(counted.map(|_| Fd(result))),
                Kind::Receive => Outcome::Received(self.buffers.received(counted, flags)),
                Kind::Send => Outcome::Sent(counted.map(low_half), self.flights.land(token.slot)),
                Kind::Watch | Kind::Connect => {
                    self.flights.land(token.slot);
                    Outcome::Done(counted)
                }
                Kind::Splice | Kind::Goodbye => {
                    polled.push((token, counted));
                    continue;
                }
                Kind::Hangup | Kind::Close | Kind::Cancel | Kind::Forget => Outcome::Done(counted),
            };
            completions.push(Completion { token, outcome, more });
        }
        for (Token { kind, slot }, result) in polled {
            if kind == Kind::Goodbye {
                self.continue_goodbye(slot, result);
            } else {
                self.continue_splice(slot, result);
            }
        }
        completions.append(&mut self.ready);
    }
}

/// The calls that need no ring.
#[expect(clippy::unused_self, reason = "the simulation answers the same questions from its own state")]
impl Uring {
    pub(crate) fn now(&self) -> Instant {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Instant(nanoseconds(time))
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        Duration::from_nanos(nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Realtime)))
    }

    pub(crate) fn socket(&mut self, address: &Address) -> Result<Fd, Errno> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = match address {
            Address::Tcp(tcp) => {
                let socket = Socket::new(Domain::for_address(*tcp), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
                socket.set_tcp_nodelay(true)?;
                socket
            }
            Address::Unix(_) => Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?,
        };
        Ok(Descriptor::Kernel(socket.into()).into_fd())
    }

    pub(crate) fn peer(&self, fd: Fd) -> Result<Address, Errno> {
        rustix::net::getpeername(borrow(fd)).map(address_of).map_err(|errno| Errno(errno.raw_os_error()))
    }

    pub(crate) fn local(&self, fd: Fd) -> Result<Address, Errno> {
        rustix::net::getsockname(borrow(fd)).map(|local| address_of(Some(local))).map_err(|errno| Errno(errno.raw_os_error()))
    }

    pub(crate) fn finish(&self, fd: Fd) {
        // A connection that is gone has nothing to close: who reads it learns of that.
        let _gone = rustix::net::shutdown(borrow(fd), rustix::net::Shutdown::Write);
    }

    pub(crate) fn is_quiet(&self, fd: Fd) -> bool {
        use rustix::net::RecvFlags;
        let peeked = rustix::net::recv(borrow(fd), &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        peeked.is_err_and(|errno| errno == rustix::io::Errno::AGAIN)
    }

    /// A filter that drops every SYN: the listening socket keeps its queue, and the handshakes whose last segment is still to come.
    pub(crate) fn refuse_handshakes(&mut self, listener: Fd) {
        use socket2::{SockFilter, SockRef};
        let statement = |code: u32, operand| SockFilter::new(u16::try_from(code).unwrap_or_default(), 0, 0, operand);
        let filter = [
            statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, TCP_FLAGS_AT),
            statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, TCP_SYN | TCP_ACK),
            SockFilter::new(u16::try_from(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K).unwrap_or_default(), 0, 1, TCP_SYN),
            statement(libc::BPF_RET | libc::BPF_K, 0),
            statement(libc::BPF_RET | libc::BPF_K, u32::MAX),
        ];
        // Without it, or on a UNIX socket, who comes between the last accept and the close is reset.
        let _best_effort = SockRef::from(&borrow(listener)).attach_filter(&filter);
    }

    pub(crate) fn accept_waiting(&mut self, listener: Fd) -> Result<Fd, Errno> {
        let listener = borrow(listener);
        rustix::io::ioctl_fionbio(listener, true).map_err(|errno| Errno(errno.raw_os_error()))?;
        let accepted = rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC);
        accepted.map(|socket| Descriptor::Kernel(socket).into_fd()).map_err(|errno| Errno(errno.raw_os_error()))
    }

    pub(crate) fn has_buffers(&self) -> bool {
        self.buffers.has_some()
    }

    pub(crate) fn bell(&mut self) -> Result<Bell, Errno> {
        use rustix::event::{EventfdFlags, eventfd};
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| Errno(errno.raw_os_error()))?;
        Ok(Bell::Event(Arc::new(descriptor)))
    }

    pub(crate) fn splices(&self) -> bool {
        self.features.splice
    }

    pub(crate) fn has_lane(&self) -> bool {
        self.splices.len() < splice::WAITING_MAX
    }

    pub(crate) fn descriptor(fd: Fd) -> Descriptor {
        // SAFETY: the reactor has just taken the socket out of its table, so this is its only owner.
        Descriptor::Kernel(unsafe { OwnedFd::from_raw_fd(fd.0) })
    }
}

/// The descriptor of a socket that stands in the reactor's table.
pub(crate) fn borrow(fd: Fd) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: the reactor closes a socket only after its last operation, and calls the backend for open ones only; the borrow ends with the call.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd.0) }
}

/// The slot in an operation's user data; a count that fits.
fn low_half(data: u64) -> u32 {
    u32::try_from(data & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn address_of(address: Option<rustix::net::SocketAddrAny>) -> Address {
    let Some(address) = address else { return Address::Unix("".into()) };
    if let Ok(tcp) = SocketAddr::try_from(address.clone()) {
        return Address::Tcp(tcp);
    }
    let path = rustix::net::SocketAddrUnix::try_from(address).ok();
    let path = path.as_ref().and_then(rustix::net::SocketAddrUnix::path_bytes).map(|path| String::from_utf8_lossy(path).into_owned());
    Address::Unix(path.unwrap_or_default().into())
}
