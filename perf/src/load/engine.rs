//! The loop of the load generator.

use super::reply::{Progress, Reply};
use super::{Plan, Report, Shape, Tally};
use crate::interrupt;
use anyhow::{Context, Result};
use core::num::NonZeroU64;
use core::sync::atomic::Ordering;
use core::time::Duration;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

const EVENTS_MAX: usize = 512;
/// Several MiB are in flight with large bodies; a receive should not be what costs.
const RECEIVE_BYTES: usize = 256 << 10;
/// How often stopping and stalled connections are looked after.
const LOOK: Duration = Duration::from_millis(100);
/// A request without an answer for so long has failed.
const STALLED: Duration = Duration::from_secs(5);
/// Connections that are opened at a time, so that no accept queue overflows.
const OPENING_MAX: usize = 256;

pub(super) struct Engine {
    plan: Plan,
    request: Vec<u8>,
    tally: Arc<Tally>,
    report: Report,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// Connections without a request (paced load), the longest idle first, so that all are used.
    idle: VecDeque<usize>,
    /// Requests that are due and have no connection (paced load).
    overdue: VecDeque<Instant>,
    next_due: Instant,
    next_look: Instant,
    /// Connections that were opened at least once.
    opened: usize,
}

#[derive(Default)]
struct Connection {
    socket: Option<OwnedFd>,
    phase: Phase,
    reply: Reply,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Phase {
    #[default]
    Idle,
    /// Not yet connected; the request follows.
    Connecting(Instant),
    /// The request is sent, since it was due at.
    Asked(Instant),
    /// Answered in full; the proxy is to close.
    Closing(Instant),
}

impl Engine {
    pub(super) fn new(plan: Plan, tally: Arc<Tally>) -> Result<Self> {
        let closing = if plan.shape == Shape::PerRequest { "Connection: close\r\n" } else { "" };
        let request =
            format!("GET {} HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: sluice-perf\r\nAccept: */*\r\n{closing}\r\n", plan.path);
        let now = Instant::now();
        Ok(Self {
            plan,
            request: request.into_bytes(),
            tally,
            report: Report::default(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?,
            connections: (0..plan.connections).map(|_| Connection::default()).collect(),
            buffer: vec![0; RECEIVE_BYTES],
            idle: VecDeque::new(),
            overdue: VecDeque::new(),
            next_due: now,
            next_look: now + LOOK,
            opened: 0,
        })
    }

    pub(super) fn run(&mut self) -> Result<Report> {
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("cannot ask for exact timers")?;
        self.open_more()?;
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while !self.tally.stop.load(Ordering::Relaxed) && interrupt::check().is_ok() {
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("the load generator cannot wait"),
            }
            for event in events.drain(..) {
                let place = usize::try_from(event.data.u64()).expect("only our own numbers are registered");
                self.turn(place)?;
            }
            self.send_due()?;
            self.look_after()?;
        }
        self.report.latencies.sort_unstable();
        Ok(core::mem::take(&mut self.report))
    }

    fn timeout(&self) -> Timespec {
        let now = Instant::now();
        let until = if self.interval().is_some() { self.next_due.min(self.next_look) } else { self.next_look };
        let wait = until.saturating_duration_since(now);
        Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() }
    }

    fn interval(&self) -> Option<Duration> {
        match self.plan.shape {
            Shape::Paced { per_second } => Some(Duration::from_secs_f64(1.0 / per_second)),
            Shape::KeepAlive | Shape::PerRequest | Shape::Once => None,
        }
    }

    /// Something happened on a connection.
    fn turn(&mut self, place: usize) -> Result<()> {
        let connection = &mut self.connections[place];
        let Some(socket) = connection.socket.as_ref() else { return Ok(()) };
        if let Phase::Connecting(due) = connection.phase {
            let flags = epoll::EventFlags::IN;
            epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(place as u64), flags).context("cannot watch a connection")?;
            return self.ask(place, due);
        }
        match rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => self.ended(place),
            Ok((count, _)) => self.received(place, count),
            Err(Errno::AGAIN) => Ok(()),
            Err(_) => {
                self.failed(place);
                Ok(())
            }
        }
    }

    fn received(&mut self, place: usize, count: usize) -> Result<()> {
        let connection = &mut self.connections[place];
        let Phase::Asked(due) = connection.phase else {
            self.failed(place);
            return Ok(());
        };
        let mut version = None;
        match connection.reply.take(&self.buffer[..count], &mut version) {
            Progress::More => Ok(()),
            Progress::Wrong => {
                self.failed(place);
                Ok(())
            }
            Progress::Whole if self.plan.shape == Shape::PerRequest => {
                self.connections[place].phase = Phase::Closing(due);
                Ok(())
            }
            Progress::Whole => {
                self.saw_version(version);
                self.done(due);
                self.next(place)
            }
        }
    }

    fn saw_version(&mut self, version: Option<u64>) {
        let Some(version) = version else { return };
        if self.report.versions.last().is_none_or(|(last, _)| *last < version) {
            self.report.versions.push((version, Instant::now()));
        }
    }

    fn done(&mut self, due: Instant) {
        self.tally.completed.fetch_add(1, Ordering::Relaxed);
        if self.interval().is_some() && self.tally.recording.load(Ordering::Relaxed) {
            self.report.latencies.push(due.elapsed());
        }
    }

    /// The connection is free: what now?
    fn next(&mut self, place: usize) -> Result<()> {
        self.connections[place].phase = Phase::Idle;
        match self.plan.shape {
            Shape::KeepAlive | Shape::PerRequest => self.ask(place, Instant::now()),
            Shape::Once => self.open_more(),
            Shape::Paced { .. } => {
                if let Some(due) = self.overdue.pop_front() {
                    return self.ask(place, due);
                }
                self.idle.push_back(place);
                Ok(())
            }
        }
    }

    /// The proxy closed.
    fn ended(&mut self, place: usize) -> Result<()> {
        let phase = self.connections[place].phase;
        match phase {
            Phase::Closing(due) => {
                self.done(due);
                self.connections[place] = Connection::default();
                self.ask(place, Instant::now())
            }
            Phase::Idle => {
                self.tally.closed.fetch_add(1, Ordering::Relaxed);
                // It stays among the idle; the next request opens it anew.
                self.connections[place] = Connection::default();
                Ok(())
            }
            Phase::Connecting(_) | Phase::Asked(_) => {
                self.failed(place);
                Ok(())
            }
        }
    }

    fn failed(&mut self, place: usize) {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        let was_idle = self.connections[place].phase == Phase::Idle;
        self.connections[place] = Connection::default();
        if self.plan.shape != Shape::Once && !was_idle {
            // The next look opens it again: a target that refuses must not make us spin.
            self.idle.push_back(place);
        }
    }

    /// Send a request, over a new connection where there is none.
    fn ask(&mut self, place: usize, due: Instant) -> Result<()> {
        self.connections[place].phase = Phase::Asked(due);
        if self.connections[place].socket.is_none() && !self.connect(place)? {
            self.failed(place);
            return Ok(());
        }
        let connection = &mut self.connections[place];
        let socket = connection.socket.as_ref().expect("connected above");
        match rustix::net::send(socket, &self.request, SendFlags::NOSIGNAL) {
            Ok(_) => {}
            Err(Errno::AGAIN) => {
                connection.phase = Phase::Connecting(due);
                let flags = epoll::EventFlags::OUT;
                epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(place as u64), flags).context("cannot watch a connection")?;
            }
            Err(_) => self.failed(place),
        }
        Ok(())
    }

    fn connect(&mut self, place: usize) -> Result<bool> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).context("no socket left")?;
        sockopt::set_tcp_nodelay(&socket, true).context("no TCP_NODELAY")?;
        if !matches!(rustix::net::connect(&socket, &self.plan.target), Ok(()) | Err(Errno::INPROGRESS)) {
            return Ok(false);
        }
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)
            .context("cannot watch a connection")?;
        self.connections[place].socket = Some(socket);
        Ok(true)
    }

    /// Open the connections that were never opened, a few at a time.
    fn open_more(&mut self) -> Result<()> {
        let waiting = match self.plan.shape {
            Shape::KeepAlive | Shape::PerRequest => usize::MAX,
            Shape::Once => self.opened.saturating_sub(self.over()),
            Shape::Paced { .. } => {
                // Paced connections open when a request needs one.
                self.idle.extend(self.opened..self.plan.connections);
                self.opened = self.plan.connections;
                return Ok(());
            }
        };
        let budget = if waiting == usize::MAX { self.plan.connections } else { OPENING_MAX.saturating_sub(waiting) };
        for _ in 0..budget {
            if self.opened == self.plan.connections {
                break;
            }
            self.opened += 1;
            self.ask(self.opened - 1, Instant::now())?;
        }
        Ok(())
    }

    /// Requests that have an outcome.
    fn over(&self) -> usize {
        let over = self.tally.completed.load(Ordering::Relaxed) + self.tally.failed.load(Ordering::Relaxed);
        usize::try_from(over).unwrap_or(usize::MAX)
    }

    fn send_due(&mut self) -> Result<()> {
        let Some(interval) = self.interval() else { return Ok(()) };
        let now = Instant::now();
        while self.next_due <= now {
            let due = self.next_due;
            self.next_due += interval;
            match self.idle.pop_front() {
                Some(place) => self.ask(place, due)?,
                None => self.overdue.push_back(due),
            }
        }
        Ok(())
    }

    /// Give up on stalled requests; open what failed again.
    fn look_after(&mut self) -> Result<()> {
        let now = Instant::now();
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + LOOK;
        for place in 0..self.connections.len() {
            let stalled = match self.connections[place].phase {
                Phase::Connecting(since) | Phase::Asked(since) | Phase::Closing(since) => now.saturating_duration_since(since) > STALLED,
                Phase::Idle => false,
            };
            if stalled {
                self.failed(place);
            }
        }
        if self.plan.shape == Shape::Once {
            self.open_more()?;
        }
        if self.interval().is_none() {
            for place in core::mem::take(&mut self.idle) {
                self.ask(place, now)?;
            }
        }
        Ok(())
    }
}
