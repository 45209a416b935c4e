//! The loop of the load generator.

use super::http2::Http2;
use super::reply::{Progress, Reply};
use super::wire::{Buffers, Received, Sent, Wire};
use super::{Http, Plan, Report, Shape, Tally, Tls, tls};
use crate::interrupt;
use anyhow::{Context, Result, bail};
use core::num::NonZeroU64;
use core::sync::atomic::Ordering;
use core::time::Duration;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

const EVENTS_MAX: usize = 512;
/// How often stopping and stalled connections are looked after.
const LOOK: Duration = Duration::from_millis(100);
/// A request without an answer for so long has failed.
const STALLED: Duration = Duration::from_secs(5);
/// So many times the connections have ended before each of them has a ticket, however unevenly they are served.
const FIRST_MAX: u64 = 4;
/// Connections that are opened at a time, so that no accept queue overflows.
const OPENING_MAX: usize = 256;

pub(super) struct Engine {
    plan: Plan,
    request: Vec<u8>,
    /// Of each connection; nothing in the clear.
    tls: Vec<Arc<ClientConfig>>,
    tally: Arc<Tally>,
    report: Report,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffers: Buffers,
    out: Vec<u8>,
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
    wire: Option<Wire>,
    phase: Phase,
    talk: Talk,
}

/// What is spoken on a connection.
enum Talk {
    One(Reply),
    Two(Box<Http2>),
}

impl Default for Talk {
    fn default() -> Self {
        Self::One(Reply::default())
    }
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Phase {
    #[default]
    Idle,
    /// The request is sent, or as much of it as the connection takes, since it was due at.
    Asked(Instant),
    /// Answered in full; the proxy is to close.
    Closing(Instant),
}

impl Engine {
    pub(super) fn new(plan: Plan, tally: Arc<Tally>) -> Result<Self> {
        let closing = if plan.shape == Shape::PerRequest { "Connection: close\r\n" } else { "" };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: sluice-perf\r\nAccept: */*\r\n{closing}\r\n",
            plan.path.text()
        );
        let now = Instant::now();
        let tls = tls::client(&plan)?.map_or_else(Vec::new, |config| {
            (0..plan.connections)
                .map(|_| match plan.tls {
                    Some(Tls { resume: true, .. }) => tls::with_tickets(&config),
                    Some(_) | None => Arc::clone(&config),
                })
                .collect()
        });
        Ok(Self {
            plan,
            request: request.into_bytes(),
            tls,
            tally,
            report: Report::default(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?,
            connections: (0..plan.connections).map(|_| Connection::default()).collect(),
            buffers: Buffers::new(),
            out: Vec::new(),
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
        let Some(wire) = connection.wire.as_mut() else { return Ok(()) };
        if wire.watches_room {
            let sent = wire.flush()?;
            return self.sent(place, sent);
        }
        match wire.receive(&mut self.buffers)? {
            Received::End => return self.ended(place),
            Received::Bytes(count) => return self.received(place, count),
            Received::Broken => self.failed(place),
            Received::Nothing => {}
        }
        Ok(())
    }

    fn received(&mut self, place: usize, count: usize) -> Result<()> {
        let connection = &mut self.connections[place];
        let mut version = None;
        self.out.clear();
        let received = &self.buffers.plain[..count];
        let progress = match (&mut connection.talk, connection.phase) {
            (Talk::One(reply), Phase::Asked(_)) => reply.take(received, &mut version),
            // A server may say something at any time.
            (Talk::Two(http2), Phase::Asked(_) | Phase::Idle) => http2.take(received, &mut self.out),
            (Talk::One(_), _) | (Talk::Two(_), Phase::Closing(_)) => Progress::Wrong,
        };
        if !self.out.is_empty() {
            self.send(place)?;
        }
        match (progress, self.connections[place].phase) {
            (Progress::More, _) => Ok(()),
            (Progress::Whole(_), Phase::Asked(due)) if self.plan.shape == Shape::PerRequest => {
                self.connections[place].phase = Phase::Closing(due);
                self.must_be_resumed(place)
            }
            (Progress::Whole(count), Phase::Asked(due)) => {
                self.saw_version(version);
                (0..count).for_each(|_| self.done(due));
                self.next(place, count)
            }
            (Progress::Wrong | Progress::Whole(_), _) => {
                self.failed(place);
                Ok(())
            }
        }
    }

    /// What is measured as resumed must not be a full handshake, nor the other way round: but the first connections have no ticket yet.
    fn must_be_resumed(&self, place: usize) -> Result<()> {
        let Some(tls) = self.plan.tls else { return Ok(()) };
        let resumed = self.connections[place].wire.as_ref().and_then(Wire::resumed);
        let is_first = self.tally.completed.load(Ordering::Relaxed) < FIRST_MAX * self.plan.connections as u64;
        if !is_first && resumed != Some(tls.resume) {
            bail!("a handshake was resumed: {resumed:?}, wanted: {}", tls.resume);
        }
        Ok(())
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
    fn next(&mut self, place: usize, count: u64) -> Result<()> {
        self.connections[place].phase = Phase::Idle;
        match self.plan.shape {
            Shape::KeepAlive | Shape::PerRequest => self.ask_many(place, Instant::now(), count),
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
            Phase::Asked(_) => {
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

    /// Send what one connection asks at a time, over a new connection where there is none.
    fn ask(&mut self, place: usize, due: Instant) -> Result<()> {
        let count = match (self.plan.http, self.plan.shape) {
            (Http::Two { streams }, Shape::KeepAlive) => streams as u64,
            (Http::One | Http::Two { .. }, _) => 1,
        };
        self.ask_many(place, due, count)
    }

    fn ask_many(&mut self, place: usize, due: Instant, count: u64) -> Result<()> {
        self.connections[place].phase = Phase::Asked(due);
        if self.connections[place].wire.is_none() && !self.connect(place)? {
            self.failed(place);
            return Ok(());
        }
        self.out.clear();
        for _ in 0..count {
            match &mut self.connections[place].talk {
                Talk::One(_) => self.out.extend_from_slice(&self.request),
                Talk::Two(http2) => http2.ask(&mut self.out),
            }
        }
        self.send(place)
    }

    /// Send what was written.
    fn send(&mut self, place: usize) -> Result<()> {
        let wire = self.connections[place].wire.as_mut().expect("connected by who wrote");
        let sent = wire.send(&self.out)?;
        self.sent(place, sent)
    }

    fn sent(&mut self, place: usize, sent: Sent) -> Result<()> {
        let Some(wire) = self.connections[place].wire.as_mut() else { return Ok(()) };
        let wanted = match sent {
            Sent::All if !wire.watches_room => return Ok(()),
            Sent::All => epoll::EventFlags::IN,
            Sent::Some => epoll::EventFlags::OUT,
            Sent::Broken => {
                self.failed(place);
                return Ok(());
            }
        };
        wire.watches_room = sent == Sent::Some;
        epoll::modify(&self.epoll, &wire.socket, epoll::EventData::new_u64(place as u64), wanted).context("cannot watch a connection")
    }

    fn connect(&mut self, place: usize) -> Result<bool> {
        let Some(wire) = Wire::connect(self.plan.target, self.tls.get(place))? else { return Ok(false) };
        epoll::add(&self.epoll, &wire.socket, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)
            .context("cannot watch a connection")?;
        let talk = match self.plan.http {
            Http::One => Talk::default(),
            Http::Two { .. } => Talk::Two(Box::new(Http2::new(&self.plan))),
        };
        self.connections[place] = Connection { wire: Some(wire), talk, phase: self.connections[place].phase };
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
                Phase::Asked(since) | Phase::Closing(since) => now.saturating_duration_since(since) > STALLED,
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
