//! The prober: asks what is due, takes what came back, and knows who is up.
//!
//! It never waits: [`Prober::turn`] does what can be done now, and [`Prober::rest`] says when to come again. When the process dies, the
//! states that it had found stay in the kernel's maps, with the second in which they were last true.

use alloc::vec::Vec;
use core::hash::BuildHasher as _;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::hash::RandomState;
use std::io;
use std::os::fd::OwnedFd;

use abi::{PROBE_PORT_FIRST, PROBE_PORTS};
use aya::maps::MapError;
use config::{Cluster, Endpoint, Snapshot};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::frame::{Message, Way};
use crate::load::Balancer;
use crate::path::{self, Answer, NoWay, Path};
use crate::plan::Plan;
use crate::probes::{ANSWER_LOOK, Door, Probes, Target};

/// Questions that may wait for their answers at once; more begin later.
pub const PROBES_AT_ONCE: usize = 4_096;

/// Probes everything that clusters of VIPs want probed.
pub struct Prober {
    path: Path,
    probes: Probes,
    waiting: Vec<Waiting>,
    sources: [Option<IpAddr>; 2],
    tokens: Tokens,
    /// Times that something was due and had to wait because too many were under way.
    late: u64,
    heard: bool,
}

/// A question under way.
struct Waiting {
    target: Target,
    until: Duration,
    by: By,
}

enum By {
    Path {
        way: Way,
        token: u32,
        ports: Option<(u16, u16)>,
    },
    Direct(OwnedFd),
    /// It could not be asked.
    Nothing,
}

/// An endpoint that came up or went down.
#[derive(Clone, Debug)]
pub struct Turned {
    /// What was asked last.
    pub target: Target,
    /// Whether it is up now.
    pub is_up: bool,
    /// What came of it.
    pub why: &'static str,
}

/// Numbers that nobody outside can know beforehand.
#[derive(Default)]
struct Tokens {
    random: RandomState,
    count: u32,
}

impl Prober {
    /// Takes `CAP_NET_RAW`; what follows needs no more than the maps do.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            path: Path::open()?,
            probes: Probes::default(),
            waiting: Vec::new(),
            sources: [None, None],
            tokens: Tokens::default(),
            late: 0,
            heard: false,
        })
    }

    /// Takes a configuration; `is_up` says how endpoints are that were not probed so far.
    pub fn take(&mut self, snapshot: &Snapshot, is_up: &dyn Fn(&Cluster, &Endpoint) -> bool, now: Duration) {
        self.probes.take(snapshot, is_up, now);
    }

    /// Probes set out from our addresses as `plan` has them, as if they had come in by this interface.
    pub fn set_out(&mut self, plan: &Plan, interface: u32) {
        self.path.set_interface(interface);
        self.sources = [plan.settings.source_v4, plan.settings.source_v6].map(|source| (!source.is_none()).then(|| ip(source)));
    }

    /// Whether all that is asked of an endpoint is answered.
    pub fn is_up(&self, cluster: &Cluster, endpoint: &Endpoint) -> bool {
        self.probes.is_up(cluster, endpoint)
    }

    /// Whether anything is probed.
    pub fn is_idle(&self) -> bool {
        self.probes.is_empty()
    }

    /// Whether anything became known since this was asked last.
    pub fn has_heard(&mut self) -> bool {
        core::mem::take(&mut self.heard)
    }

    /// Times that something was due and had to wait because too many were under way.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How long nothing is to be done, `most` at most.
    pub fn rest(&self, now: Duration, most: Duration) -> Duration {
        let due = self.probes.next().map_or(most, |next| next.saturating_sub(now));
        if self.waiting.is_empty() { due.min(most) } else { due.min(ANSWER_LOOK).min(most) }
    }

    /// Takes the answers that are there, and asks what is due.
    pub fn turn(&mut self, balancer: &mut Balancer, plan: &Plan, now: Duration) -> Result<Vec<Turned>, MapError> {
        let mut turned = Vec::new();
        for waiting in core::mem::take(&mut self.waiting) {
            let Some(answered) = self.heard(balancer, &waiting, now)? else {
                self.waiting.push(waiting);
                continue;
            };
            self.heard = true;
            let is_up = self.probes.answer(&waiting.target, answered.is_ok(), now);
            let why = answered.err().unwrap_or("it answers");
            turned.extend(is_up.map(|is_up| Turned { target: waiting.target, is_up, why }));
        }
        let room = PROBES_AT_ONCE - self.waiting.len().min(PROBES_AT_ONCE);
        for (target, timeout) in self.probes.due(now, room) {
            let by = self.ask(balancer, plan, &target);
            let until = if matches!(by, By::Nothing) { now } else { now + timeout };
            self.waiting.push(Waiting { target, until, by });
        }
        self.late += u64::from(self.waiting.len() >= PROBES_AT_ONCE);
        Ok(turned)
    }

    /// What is known of a question's answer; `None` is nothing yet.
    fn heard(&mut self, balancer: &mut Balancer, waiting: &Waiting, now: Duration) -> Result<Option<Result<(), &'static str>>, MapError> {
        let is_over = waiting.until <= now;
        match &waiting.by {
            By::Nothing => Ok(Some(Err("there is no way to it"))),
            By::Direct(socket) => Ok(connected(socket).or_else(|| is_over.then_some(Err("it does not answer")))),
            By::Path { way, token, ports } => {
                let heard = match path::answer(balancer, *token)? {
                    Answer::Waiting if !is_over => return Ok(None),
                    Answer::Waiting => Err("it does not answer"),
                    Answer::Refused => Err("it refuses connections"),
                    Answer::Accepted => Ok(()),
                };
                path::forget(balancer, *token)?;
                if let (Ok(()), Some((from, to))) = (heard, *ports) {
                    // Whether it arrives or not: the origin forgets by itself.
                    let _freed = self.path.send(balancer, *way, Message::Reset { from, to, token: *token });
                }
                Ok(Some(heard))
            }
        }
    }

    fn ask(&mut self, balancer: &mut Balancer, plan: &Plan, target: &Target) -> By {
        if let Door::Direct(address) = target.door {
            return connecting(address).map_or(By::Nothing, By::Direct);
        }
        let Some(way) = self.way(plan, target) else { return By::Nothing };
        let (token, from) = self.tokens.next();
        let (message, ports) = match target.door {
            Door::Tcp(to) => (Message::Syn { from, to, token }, Some((from, to))),
            Door::Echo | Door::Direct(_) => (Message::Echo { token }, None),
        };
        match self.path.ask(balancer, way, message) {
            Ok(()) => By::Path { way, token, ports },
            Err(NoWay::Reason(_) | NoWay::Kernel(_) | NoWay::Map(_) | NoWay::Send(_)) => By::Nothing,
        }
    }

    fn way(&self, plan: &Plan, target: &Target) -> Option<Way> {
        let source = self.sources.iter().flatten().copied().find(|source| source.is_ipv4() == target.address.is_ipv4())?;
        let (service, backend) = plan.numbers_of(target)?;
        Some(Way { service, backend, source, vip: target.address })
    }
}

impl Tokens {
    /// A token and a port to come from.
    fn next(&mut self) -> (u32, u16) {
        self.count = self.count.wrapping_add(1);
        let [a, b, c, d, ..] = self.random.hash_one(self.count).to_ne_bytes();
        let port = PROBE_PORT_FIRST + u16::try_from(self.count % u32::from(PROBE_PORTS)).unwrap_or(0);
        (u32::from_ne_bytes([a, b, c, d]), port)
    }
}

fn ip(address: abi::Address) -> IpAddr {
    IpAddr::from(address.bytes()).to_canonical()
}

/// Begins a connection.
fn connecting(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    // The end of a probe leaves nothing behind, here or there.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// What became of it, as soon as that is known.
fn connected(socket: &OwnedFd) -> Option<Result<(), &'static str>> {
    let mut descriptors = [PollFd::new(socket, PollFlags::OUT)];
    let ready = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or(0);
    if ready == 0 {
        return None;
    }
    Some(match sockopt::socket_error(socket) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Errno::CONNREFUSED)) => Err("it refuses connections"),
        Ok(Err(_)) | Err(_) => Err("it does not answer"),
    })
}
