//! Next hops of backends, so that the kernel's routes need not be asked for each packet.
//!
//! The program `hop` asks what the balancer would ask, and a hop is one when packets of every interface of ours get the same answer; then it stands in the
//! backend's entry. The kernel announces when neighbours, routes, rules or links change, and whatever is announced, all is asked anew: a few
//! microseconds each. Where there is no answer the entry stays without a MAC, and the kernel decides packet by packet. Nothing here sends anything;
//! that neighbours stay known is [`crate::Neighbours`]'s.

use abi::{HOP_KNOWN, Mac};
use aya::TestRun as _;
use aya::programs::{TestRunOptions, Xdp};
use core::net::IpAddr;
use core::time::Duration;
use hashbrown::HashMap;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use std::io;
use std::os::fd::OwnedFd;

use crate::load::Balancer;
use crate::path::context;
use crate::programs;

/// The next hop to an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Its MAC.
    pub mac: Mac,
    /// The MAC to send from.
    pub source_mac: Mac,
    /// The number of the interface to send by.
    pub interface: u32,
}

/// The next hops that are known.
pub struct Hops {
    announced: OwnedFd,
    known: HashMap<IpAddr, Hop>,
    /// Addresses that are still to be asked anew; `usize::MAX` is all of them.
    left: usize,
    /// The place of the one that is asked next.
    next: usize,
    rest_until: Duration,
    again_at: Duration,
}

/// Next hops that are asked for at a time.
pub const HOPS_AT_ONCE: usize = 1_024;

/// How long what is known is taken to be true when nothing is announced: not everything that has a say is.
const TRUE_FOR: Duration = Duration::from_secs(1);
/// After asking nothing is asked for so many times as long as it took.
const RESTS: u32 = 9;
/// Announcements that are taken at a time: the kernel keeps no more than its socket's buffer holds, and says when it was too small.
const ANNOUNCEMENTS_AT_ONCE: usize = 1_024;
/// What of an announcement is looked at: nothing.
const ANNOUNCEMENT_BYTES: usize = 64;

/// What is announced.
const GROUPS: [libc::c_uint; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
];

impl Hops {
    /// None is known yet. Takes no rights.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let announced = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        let groups = GROUPS.into_iter().fold(0, |groups, group| groups | 1 << (group - 1));
        bind(&announced, &SocketAddrNetlink::new(0, groups))?;
        let (rest_until, again_at) = (Duration::ZERO, Duration::ZERO);
        Ok(Self { announced, known: HashMap::new(), left: usize::MAX, next: 0, rest_until, again_at })
    }

    /// The next hop to an address, when it is known.
    pub fn get(&self, address: IpAddr) -> Option<Hop> {
        self.known.get(&address).copied()
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        self.known.clear();
        self.look_anew();
    }

    /// All are to be asked: there are other addresses or interfaces.
    pub fn look_anew(&mut self) {
        self.left = usize::MAX;
    }

    /// Whether [`Self::look`] has something to do.
    pub fn is_due(&mut self, now: Duration) -> bool {
        if now < self.rest_until {
            return false;
        }
        if self.is_announced() || self.again_at <= now {
            self.again_at = now + TRUE_FOR;
            self.look_anew();
        }
        self.left > 0
    }

    /// Asks for the next hops to these addresses, for packets that come in by these interfaces; whether anything is known now that was not, or
    /// not any more. Many are asked for in turns.
    pub fn look(&mut self, balancer: &Balancer, addresses: &[IpAddr], interfaces: &[u32], now: impl Fn() -> Duration) -> bool {
        let begun = now();
        let turn = self.left.min(addresses.len()).min(HOPS_AT_ONCE);
        let mut is_other = false;
        for address in addresses.iter().cycle().skip(self.next).take(turn) {
            let hop = ask_all(balancer, *address, interfaces);
            is_other |= hop != self.get(*address);
            match hop {
                Some(hop) => self.known.insert(*address, hop),
                None => self.known.remove(address),
            };
        }
        self.left = self.left.min(addresses.len()) - turn;
        self.next = (self.next + turn) % addresses.len().max(1);
        if self.known.len() > addresses.len() {
            self.known.retain(|address, _| addresses.contains(address));
        }
        let ended = now();
        self.rest_until = ended + ended.saturating_sub(begun) * RESTS;
        is_other
    }

    /// Takes what was announced, whatever it says.
    fn is_announced(&self) -> bool {
        let mut buffer = [0; ANNOUNCEMENT_BYTES];
        for taken in 0..ANNOUNCEMENTS_AT_ONCE {
            match recv(&self.announced, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok(_) => {}
                // More than there was room for.
                Err(Errno::NOBUFS) => return true,
                Err(_) => return taken > 0,
            }
        }
        true
    }
}

/// The next hop that packets of all these interfaces have.
fn ask_all(balancer: &Balancer, address: IpAddr, interfaces: &[u32]) -> Option<Hop> {
    let (first, others) = interfaces.split_first()?;
    let hop = ask(balancer, address, *first)?;
    others.iter().all(|interface| ask(balancer, address, *interface) == Some(hop)).then_some(hop)
}

/// What the kernel says; no answer is as good as none that could be used.
fn ask(balancer: &Balancer, address: IpAddr, interface: u32) -> Option<Hop> {
    let program: &Xdp = balancer.program_of(programs::HOP).ok()?;
    // As `HopFrame` has it: the address, then what is answered.
    let mut frame = [0; size_of::<abi::HopFrame>()];
    frame[..16].copy_from_slice(&abi::Address::from(address).bytes());
    let mut out = frame;
    let context = context(frame.len(), interface);
    let mut options = TestRunOptions::new();
    options.data_in = Some(&frame);
    options.data_out = Some(&mut out);
    options.ctx_in = Some(&context);
    let answer = program.test_run(options).ok()?.return_value;
    let [.., i0, i1, i2, i3, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, s4, s5] = out;
    let interface = u32::from_ne_bytes([i0, i1, i2, i3]);
    (answer == HOP_KNOWN).then_some(Hop { mac: [m0, m1, m2, m3, m4, m5], source_mac: [s0, s1, s2, s3, s4, s5], interface })
}
