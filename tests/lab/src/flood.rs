//! A SYN flood: connections that nobody means, from addresses that nobody has, on a CPU of its own.
#![expect(clippy::disallowed_methods, reason = "it keeps a pace")]

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use e2e::pause;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use nix::unistd::Pid;

use crate::vip::Vip;

/// A flood under way; ends when dropped.
pub struct Flood {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Sent>>,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// SYNs that came to the node's interface.
    pub packets: u64,
    /// SYNs that it had no room for.
    pub lost: u64,
    /// In how long.
    pub time: Duration,
}

/// Where a flood comes in.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    /// The interface that frames leave by.
    pub(crate) link: LinkAddr,
    /// Where they go to.
    pub(crate) to: [u8; 6],
    /// Where answers go to.
    pub(crate) from: [u8; 6],
}

/// The networks that sources are drawn from (RFC 2544, appendix C.2.2; RFC 5180, 8): they have to lead nowhere.
pub(crate) const SOURCES_V4: &str = "198.18.0.0/15";
pub(crate) const SOURCES_V6: &str = "2001:2::/48";
/// The last four bytes of a source, and how many of their bits are drawn.
const LAST_V4: (u32, u32) = (198 << 24 | 18 << 16, 17);
const LAST_V6: (u32, u32) = (0, 31);
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);

const ETHERNET_BYTES: usize = 14;
/// With the option for the segment size.
const TCP_BYTES: usize = 24;
/// Over IPv6, whose header is the longer one.
const FRAME_BYTES: usize = ETHERNET_BYTES + 40 + TCP_BYTES;
/// How many are sent before it is looked at the clock.
const BURST: u64 = 64;
const REST: Duration = Duration::from_micros(200);

impl Sent {
    /// SYNs per second.
    pub fn rate(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for a person")]
        let packets = self.packets as f64;
        packets / self.time.as_secs_f64()
    }
}

impl Flood {
    /// Begins on a CPU, at so many SYNs a second, or as many as can be.
    pub(crate) fn start(wire: Wire, to: (Vip, u16), cpu: usize, per_second: u64) -> Self {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).expect("a packet socket needs root");
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            run_on(&[cpu]);
            send(&socket, wire.link, &Frame::new(&wire, to.0.address(), to.1), per_second, &end)
        });
        Self { is_over, thread: Some(thread) }
    }

    /// Ends it.
    pub fn stop(mut self) -> Sent {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().expect("stopped once").join().expect("it does not panic")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Keeps a CPU for floods: this thread, and all that it starts from here on, run on the others, where there are others.
pub fn spare_cpu() -> usize {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("of this thread");
    let mut cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let spare = cpus.pop().expect("this thread runs somewhere");
    if !cpus.is_empty() {
        run_on(&cpus);
    }
    spare
}

fn run_on(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).expect("it is one of them");
    }
    sched_setaffinity(Pid::from_raw(0), &set).expect("it may run there");
}

/// Sends, evenly, until it is over.
fn send(socket: &OwnedFd, link: LinkAddr, first: &Frame, per_second: u64, is_over: &AtomicBool) -> Sent {
    let (began, mut packets, mut lost) = (Instant::now(), 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let due = u64::try_from(began.elapsed().as_micros()).expect("not that long") * per_second / 1_000_000;
        let tried = packets + lost;
        if tried >= due {
            pause(REST);
            continue;
        }
        for _ in tried..due.min(tried + BURST) {
            match sendto(socket.as_raw_fd(), &first.of_anybody()[..first.length], &link, MsgFlags::empty()) {
                Ok(_) => packets += 1,
                // The node's interface has no room for it: it needs this CPU now.
                Err(Errno::ENOBUFS) => {
                    lost += 1;
                    pause(REST);
                    break;
                }
                Err(error) => panic!("the interface does not take it: {error}"),
            }
        }
    }
    Sent { packets, lost, time: began.elapsed() }
}

/// A SYN without its source's last bytes, and what its checksums are so far.
struct Frame {
    bytes: [u8; FRAME_BYTES],
    length: usize,
    /// Where TCP begins; the addresses stand before it.
    tcp: usize,
    /// Where the source's last four bytes are.
    source: usize,
    last: (u32, u32),
    /// IPv6 has none.
    ip_sum: Option<u32>,
    tcp_sum: u32,
}

impl Frame {
    fn new(wire: &Wire, address: IpAddr, port: u16) -> Self {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..6].copy_from_slice(&wire.to);
        bytes[6..12].copy_from_slice(&wire.from);
        let (addresses, source, tcp, last) = match address {
            IpAddr::V4(address) => {
                bytes[12..26].copy_from_slice(&[8, 0, 0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0]);
                bytes[30..34].copy_from_slice(&address.octets());
                (26, 26, 34, LAST_V4)
            }
            IpAddr::V6(address) => {
                bytes[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 6, 64]);
                bytes[22..38].copy_from_slice(&SOURCE_V6.octets());
                bytes[38..54].copy_from_slice(&address.octets());
                (22, 34, 54, LAST_V6)
            }
        };
        bytes[tcp + 2..tcp + 4].copy_from_slice(&port.to_be_bytes());
        bytes[tcp + 12..tcp + 16].copy_from_slice(&[0x60, 0x02, 0xff, 0xff]);
        bytes[tcp + 20..tcp + 24].copy_from_slice(&[2, 4, 0x05, 0xb4]);
        let ip_sum = address.is_ipv4().then(|| sum(&bytes[ETHERNET_BYTES..tcp]));
        // The pseudo header: addresses, the protocol, TCP's length.
        let tcp_sum = sum(&bytes[addresses..]) + 6 + 24;
        Self { length: tcp + TCP_BYTES, tcp, source, last, ip_sum, tcp_sum, bytes }
    }

    /// From any address of the network and any port, with any number. Without loops: this is what bounds a flood where nothing is optimised.
    fn of_anybody(&self) -> [u8; FRAME_BYTES] {
        let (mut bytes, tcp) = (self.bytes, self.tcp);
        let (port, number) = (fastrand::u16(..), fastrand::u32(..));
        let source = self.last.0 | fastrand::u32(..1 << self.last.1);
        bytes[self.source..self.source + 4].copy_from_slice(&source.to_be_bytes());
        bytes[tcp..tcp + 2].copy_from_slice(&port.to_be_bytes());
        bytes[tcp + 4..tcp + 8].copy_from_slice(&number.to_be_bytes());
        let source = (source >> 16) + (source & 0xffff);
        if let Some(ip_sum) = self.ip_sum {
            bytes[24..26].copy_from_slice(&folded(ip_sum + source));
        }
        let tcp_sum = self.tcp_sum + source + u32::from(port) + (number >> 16) + (number & 0xffff);
        bytes[tcp + 16..tcp + 18].copy_from_slice(&folded(tcp_sum));
        bytes
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|half| u32::from(half[0]) << 8 | u32::from(half[1])).sum()
}

/// The checksum of a sum (RFC 1071).
fn folded(sum: u32) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (!(sum + (sum >> 16))).to_be_bytes();
    [high, low]
}
