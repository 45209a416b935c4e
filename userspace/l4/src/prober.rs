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
use config::{Cluster, Endpoint, Look, Snapshot};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::frame::{Message, Way};
use crate::load::{Balancer, LoadError};
use crate::path::{self, Answer, NoWay, Path};
use crate::plan::Plan;
use crate::probes::{ANSWER_LOOK, Door, Probes, Target};
use crate::question::{Heard, Question, Why};
use crate::streams::{STREAM_LOOK, Streams};

/// Questions that may wait for their answers at once; more begin later.
pub const PROBES_AT_ONCE: usize = 4_096;

/// Probes everything that clusters of VIPs want probed.
pub struct Prober {
    path: Path,
    streams: Streams,
    probes: Probes,
    waiting: Vec<Waiting>,
    sources: [Option<IpAddr>; 2],
    tokens: Tokens,
    /// Times that something was due and had to wait because too many were under way.
    late: u64,
    /// When it is looked for answers of one packet next.
    look_at: Duration,
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
    Question(Question),
    /// Too many are under way.
    Later,
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
    pub why: Why,
}

/// Numbers that nobody outside can know beforehand.
#[derive(Default)]
struct Tokens {
    random: RandomState,
    count: u32,
}

impl Prober {
    /// Takes `CAP_NET_RAW`; what follows needs no more than the maps do.
    pub fn open(balancer: &mut Balancer) -> Result<Self, LoadError> {
        Ok(Self {
            path: Path::open(balancer)?,
            streams: Streams::new(),
            probes: Probes::default(),
            waiting: Vec::new(),
            sources: [None, None],
            tokens: Tokens::default(),
            late: 0,
            look_at: Duration::ZERO,
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
        self.streams.set_sources(&self.sources);
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
        let look = if self.waiting.is_empty() { most } else { self.look_at.saturating_sub(now) };
        let stream = if self.is_asking() { STREAM_LOOK } else { most };
        due.min(look).min(stream).min(most)
    }

    /// Takes the answers that are there, and asks what is due. `engine` looks, elsewhere and without having this wait, at what takes more than a packet.
    pub fn turn(&mut self, balancer: &mut Balancer, plan: &Plan, engine: &dyn Fn(Look), now: Duration) -> Result<Vec<Turned>, MapError> {
        self.streams.turn(&mut self.path, balancer, now)?;
        let looks = now >= self.look_at;
        if looks {
            self.look_at = now + ANSWER_LOOK;
        }
        let mut turned = Vec::new();
        for mut waiting in core::mem::take(&mut self.waiting) {
            let is_late = waiting.until <= now;
            let heard = match &mut waiting.by {
                By::Question(question) => {
                    let heard = question.heard(&mut self.streams, engine, is_late);
                    if heard.is_some() {
                        question.end(&mut self.streams);
                    }
                    heard
                }
                by if looks => self.answer(balancer, by, is_late)?,
                By::Path { .. } | By::Direct(_) | By::Later | By::Nothing => None,
            };
            match heard {
                None => self.waiting.push(waiting),
                Some(Heard::Unasked) => {
                    self.late += 1;
                    self.probes.put_off(&waiting.target, now + ANSWER_LOOK);
                }
                Some(Heard::Answer(answer)) => {
                    self.heard = true;
                    let is_up = self.probes.answer(&waiting.target, answer.is_ok(), now);
                    let why = answer.err().unwrap_or(Why::Borrowed("it answers"));
                    turned.extend(is_up.map(|is_up| Turned { target: waiting.target, is_up, why }));
                }
            }
        }
        let room = PROBES_AT_ONCE - self.waiting.len().min(PROBES_AT_ONCE);
        for (target, timeout) in self.probes.due(now, room) {
            let by = self.ask(balancer, plan, &target);
            let until = if matches!(by, By::Nothing) { now } else { now + timeout };
            self.waiting.push(Waiting { target, until, by });
        }
        self.late += u64::from(self.waiting.len() >= PROBES_AT_ONCE);
        // What was begun or handed over now is on its way at once.
        self.streams.turn(&mut self.path, balancer, now)?;
        Ok(turned)
    }

    /// Whether anything is asked over a connection.
    fn is_asking(&self) -> bool {
        !self.streams.is_empty() || self.waiting.iter().any(|waiting| matches!(waiting.by, By::Question(_)))
    }

    /// What is known of a question's answer; `None` is nothing yet.
    fn answer(&mut self, balancer: &mut Balancer, by: &By, is_late: bool) -> Result<Option<Heard>, MapError> {
        Ok(match by {
            By::Question(_) => None,
            By::Later => Some(Heard::Unasked),
            By::Nothing => Some(Heard::not("there is no way to it")),
            By::Direct(socket) => connected(socket).or_else(|| is_late.then(|| Heard::not("it does not answer"))),
            By::Path { way, token, ports } => {
                let heard = match path::answer(balancer, *token)? {
                    Answer::Waiting if !is_late => return Ok(None),
                    Answer::Waiting => Heard::not("it does not answer"),
                    Answer::Refused => Heard::not("it refuses connections"),
                    Answer::Accepted => Heard::Answer(Ok(())),
                };
                path::forget(balancer, *token)?;
                if let (Heard::Answer(Ok(())), Some((from, to))) = (&heard, *ports) {
                    // Whether it arrives or not: the origin forgets by itself.
                    let _freed = self.path.send(balancer, *way, Message::Reset { from, to, token: *token });
                }
                Some(heard)
            }
        })
    }

    fn ask(&mut self, balancer: &mut Balancer, plan: &Plan, target: &Target) -> By {
        let question = self.probes.question(target);
        if let Door::Direct(address) = target.door {
            let plain = || connecting(address).map_or(By::Nothing, By::Direct);
            return question.map_or_else(plain, |question| By::Question(Question::new(target, question, address, None)));
        }
        let Some(way) = self.way(plan, target) else { return By::Nothing };
        if let (Some(question), Door::Tcp(port)) = (question, target.door) {
            let Some(stream) = self.streams.open(way, port) else { return By::Later };
            let to = SocketAddr::new(target.address, port);
            return By::Question(Question::new(target, question, to, Some(stream)));
        }
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
fn connected(socket: &OwnedFd) -> Option<Heard> {
    let mut descriptors = [PollFd::new(socket, PollFlags::OUT)];
    let ready = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap_or(0);
    if ready == 0 {
        return None;
    }
    Some(match sockopt::socket_error(socket) {
        Ok(Ok(())) => Heard::Answer(Ok(())),
        Ok(Err(Errno::CONNREFUSED)) => Heard::not("it refuses connections"),
        Ok(Err(_)) | Err(_) => Heard::not("it does not answer"),
    })
}
