//! The simulated machine room: one virtual clock, the hosts with their descriptors, every connection, and all that is going to happen.
//!
//! A [`World`] is a cheap handle. The test holds one, each simulated ring another. Time stands still while any ring can move; it jumps to the
//! next event or deadline when none can. When there is neither, the simulation hangs, and says who waits for what.

use core::{cell::RefCell, fmt::Write as _, net::SocketAddr, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use buf::{Arena, Chunk};
use crossbeam::queue::SegQueue;
use model::{Address, Instant};

use super::{
    Chaos, Held, Random,
    connection::{Broken, Connection},
    join::Joint,
    sealed::Sealed,
    trace::Trace,
};
use crate::{Bell, Completion, Descriptor, Errno, Fd, Op, Ring, Token};

/// The simulated network with its hosts.
#[derive(Clone)]
pub struct World(pub(super) Rc<RefCell<Inner>>);

/// A simulated host: an address and a table of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(pub(super) usize);

/// What a host has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Descriptors.
    pub descriptors: usize,
    /// Operations whose last completion was not delivered.
    pub operations: usize,
    /// Chunks that stand in receive buffers.
    pub leased: u32,
}

/// Nothing can move and no timer is set, or time is up: who waits for what.
#[derive(Debug)]
pub struct Hang(pub String);

pub(super) struct Inner {
    pub(super) now: Instant,
    pub(super) chaos: Chaos,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) hosts: Vec<HostState>,
    pub(super) rings: Vec<RingState>,
    pub(super) sockets: BTreeMap<Fd, Socket>,
    pub(super) connections: Vec<Connection>,
    /// By the descriptor where bytes arrive.
    pub(super) joints: BTreeMap<Fd, Joint>,
    /// The first breach of the kernel's contract that was not found inside `wait`, where it could be told at once.
    pub(super) violation: Option<String>,
    /// Descriptors that were dropped outside of any ring.
    dropped: Arc<SegQueue<Fd>>,
    events: BTreeMap<(Instant, u64), Event>,
    event_count: u64,
    descriptor_count: i32,
    port_count: u16,
}

/// What is going to happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// Segments reach one side of a connection.
    Arrival(usize, usize),
    /// A reset reaches one side.
    Reset(usize, usize),
    /// Chaos breaks a connection.
    Break(usize, Broken),
    /// One side gives up on a silent peer.
    TimedOut(usize, usize),
    /// A connect's request reaches the listener, for the so-many-th time.
    Knock(Fd, u32),
    /// A connect fails.
    ConnectFails(Fd, Errno),
    /// An established connection stands in the listener's queue.
    Knocked(Fd, usize),
    /// What was taken over from a joined socket is given to the other to send.
    Carry(Fd),
    /// Kept bytes of a joined socket can be received.
    Unhide(Fd),
}

pub(super) struct HostState {
    name: String,
    pub(super) descriptors: usize,
    pub(super) descriptors_max: usize,
}

pub(super) struct RingState {
    pub(super) host: usize,
    pub(super) alive: bool,
    pub(super) arena: Rc<Arena>,
    /// Buffers the kernel has and the bytes used of each; the first is the one being filled.
    pub(super) provided: VecDeque<(u16, u32)>,
    pub(super) queued: Vec<(u32, Op)>,
    pub(super) operations: BTreeMap<Token, Running>,
    /// Which socket each slot with outstanding operations is for, and how many there are.
    pub(super) slots: BTreeMap<u32, (Option<Fd>, u32)>,
    pub(super) ready: Vec<Completion>,
    /// Until when it blocks; `None` while it can go on by itself.
    pub(super) parked: Option<Instant>,
    pub(super) idle_turns: u32,
}

/// An operation whose last completion was not delivered.
pub(super) struct Running {
    pub(super) operation: Operation,
    /// The sockets it uses.
    pub(super) uses: [Option<Fd>; 2],
}

/// What is being done.
pub(super) enum Operation {
    Accept {
        fd: Fd,
    },
    Receive {
        fd: Fd,
        credit: u32,
    },
    Send {
        fd: Fd,
        pieces: Vec<Chunk>,
        wait: bool,
        sent: usize,
    },
    Connect {
        fd: Fd,
        address: Address,
    },
    Splice {
        from: Fd,
        to: Fd,
        length: u64,
    },
    Hangup {
        fd: Fd,
    },
    Goodbye {
        fd: Fd,
        given: u64,
        wait: bool,
    },
    Watch {
        bell: Bell,
    },
    /// Its last completion stands in `ready`.
    Ended,
}

pub(super) struct Socket {
    pub(super) host: usize,
    pub(super) state: State,
    /// Operations that name it and whose last completion was not delivered.
    pub(super) users: Vec<(usize, Token)>,
    /// A Send said that it is the last one.
    pub(super) last_sent: bool,
    /// The kernel seals what is sent.
    pub(super) sealed: Option<Box<Sealed>>,
}

pub(super) enum State {
    Fresh,
    Listening {
        address: Address,
        queue: VecDeque<usize>,
        coming: usize,
        /// No new handshake begins.
        is_deaf: bool,
    },
    Connected {
        connection: usize,
        side: usize,
    },
}

impl World {
    /// An empty machine room.
    pub fn new(chaos: Chaos) -> Self {
        let random = Random::new(chaos.seed);
        Self(Rc::new(RefCell::new(Inner {
            now: Instant(0),
            chaos,
            random,
            trace: Trace::new(),
            hosts: Vec::new(),
            rings: Vec::new(),
            sockets: BTreeMap::new(),
            connections: Vec::new(),
            joints: BTreeMap::new(),
            violation: None,
            dropped: Arc::default(),
            events: BTreeMap::new(),
            event_count: 0,
            // Above the standard streams, as with a real process.
            descriptor_count: 3,
            port_count: 10_000,
        })))
    }

    /// Adds a host.
    pub fn host(&self, name: &str) -> Host {
        let mut inner = self.0.borrow_mut();
        let descriptors_max = inner.chaos.descriptors;
        inner.hosts.push(HostState { name: name.to_owned(), descriptors: 0, descriptors_max });
        Host(inner.hosts.len() - 1)
    }

    /// Sets how many descriptors `host` may have open; those above stay open.
    pub fn limit_descriptors(&self, host: Host, most: usize) {
        self.0.borrow_mut().hosts[host.0].descriptors_max = most;
    }

    /// A listening socket of `host`. Several may listen on one address: chance shares the connections out among them.
    pub fn listen(&self, host: Host, address: Address) -> Result<Descriptor, Errno> {
        let state = State::Listening { address, queue: VecDeque::new(), coming: 0, is_deaf: false };
        let mut inner = self.0.borrow_mut();
        let fd = inner.open(host.0, state)?;
        Ok(Descriptor::Simulated(inner.hold(fd)))
    }

    /// The virtual clock.
    pub fn now(&self) -> Instant {
        self.0.borrow().now
    }

    /// When the next thing happens by itself, if anything does.
    pub fn next_event(&self) -> Option<Instant> {
        self.0.borrow().next_event()
    }

    /// Called after each ring had its turn: when all are blocked, the clock jumps to the next event or deadline.
    pub fn advance(&self) -> Result<(), Hang> {
        let mut inner = self.0.borrow_mut();
        if !inner.is_still() {
            return Ok(());
        }
        let deadline = inner.rings.iter().filter(|ring| ring.alive).filter_map(|ring| ring.parked).min();
        let target = deadline.unwrap_or(Instant::NEVER).min(inner.next_event().unwrap_or(Instant::NEVER));
        if target == Instant::NEVER {
            return Err(Hang(inner.report()));
        }
        inner.now = inner.now.max(target);
        for ring in &mut inner.rings {
            ring.idle_turns = 0;
        }
        inner.happen();
        Ok(())
    }

    /// Turns all `rings`, in any order, until `done`. A hang is that nothing can move, or that it is not done at `latest`.
    pub fn run(&self, rings: &[Ring], latest: Instant, mut done: impl FnMut() -> bool) -> Result<(), Hang> {
        let mut order: Vec<&Ring> = rings.iter().collect();
        while !done() {
            if self.now() >= latest {
                return Err(Hang(format!("not done in time\n{}", self.report())));
            }
            self.0.borrow_mut().random.shuffle(&mut order);
            for ring in &order {
                ring.turn(latest);
            }
            self.advance()?;
        }
        Ok(())
    }

    /// Whether chaos broke the connection that was opened from this address.
    pub fn was_broken(&self, client: &Address) -> bool {
        self.0.borrow().connections.iter().any(|connection| connection.broken.is_some() && connection.sides[0].address == *client)
    }

    /// What a host has open right now.
    pub fn usage(&self, host: Host) -> Usage {
        let mut inner = self.0.borrow_mut();
        inner.close_dropped();
        let inner = &*inner;
        let rings = || inner.rings.iter().filter(|ring| ring.host == host.0);
        Usage {
            descriptors: inner.hosts[host.0].descriptors,
            operations: rings().map(|ring| ring.operations.len() + ring.queued.len()).sum(),
            leased: rings().map(|ring| ring.arena.leased()).sum(),
        }
    }

    /// Connections that `host` has open to `address`.
    pub fn connections(&self, host: Host, address: &Address) -> usize {
        let inner = self.0.borrow();
        let ours = inner.sockets.values().filter(|socket| socket.host == host.0);
        let reaches = |socket: &&Socket| match socket.state {
            State::Connected { connection, side: 0 } => inner.connections[connection].sides[1].address == *address,
            State::Connected { .. } | State::Fresh | State::Listening { .. } => false,
        };
        ours.filter(reaches).count()
    }

    /// Everything that is open, waiting or on its way, for a person.
    pub fn report(&self) -> String {
        self.0.borrow().report()
    }

    /// A hash of all that happened: the same for the same seed.
    pub fn fingerprint(&self) -> u64 {
        self.0.borrow().trace.fingerprint()
    }

    /// Keeps the text of all that happens from now on, not only of the last steps.
    pub fn keep_trace(&self) {
        self.0.borrow_mut().trace.keep_all();
    }

    /// The text of what happened.
    pub fn trace(&self) -> String {
        self.0.borrow().trace.text()
    }

    /// Writes a line of the test's own into the trace.
    pub fn note(&self, text: &str) {
        let mut inner = self.0.borrow_mut();
        let now = inner.now;
        inner.trace.note(now, format_args!("{text}"));
    }
}

impl Inner {
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn schedule(&mut self, at: Instant, event: Event) {
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    /// Lets everything happen that is due.
    pub(super) fn happen(&mut self) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let event = entry.remove();
            self.perform(event);
        }
        self.look_at_bells();
    }

    /// Closes what was dropped outside of any ring.
    pub(super) fn close_dropped(&mut self) {
        while let Some(fd) = self.dropped.pop() {
            self.close(fd, false);
        }
    }

    /// Whether every ring is blocked with nothing for it.
    fn is_still(&self) -> bool {
        self.rings.iter().filter(|ring| ring.alive).all(|ring| ring.parked.is_some() && ring.ready.is_empty() && !ring.is_rung())
    }

    /// How long something travels this time.
    pub(super) fn delay(&mut self) -> Duration {
        let travels = Duration::from_micros(self.random.within(&self.chaos.delay_micros));
        if self.random.happens(self.chaos.retransmit) {
            return travels + Duration::from_millis(self.random.within(&(200..=3_000)));
        }
        travels
    }

    /// A new descriptor. Numbers are never used again, so that every use after a close is seen.
    pub(super) fn open(&mut self, host: usize, state: State) -> Result<Fd, Errno> {
        let table = &mut self.hosts[host];
        if table.descriptors >= table.descriptors_max {
            return Err(Errno::MFILE);
        }
        table.descriptors += 1;
        let fd = Fd(self.descriptor_count);
        self.descriptor_count += 1;
        self.sockets.insert(fd, Socket { host, state, users: Vec::new(), last_sent: false, sealed: None });
        Ok(fd)
    }

    /// An address on `host` that no connection has had yet.
    pub(super) fn fresh_address(&mut self, host: usize) -> Address {
        self.port_count = self.port_count.checked_add(1).unwrap_or(10_000);
        // One network for each turn of the ports: unique for 255 x 55 000 connections.
        let turn = u8::try_from(self.connections.len() / 55_000).unwrap_or(u8::MAX);
        let host = u8::try_from(host + 1).unwrap_or(u8::MAX);
        Address::Tcp(SocketAddr::from(([10, 99, turn, host], self.port_count)))
    }

    pub(super) fn breach(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// The connection and side behind a descriptor.
    pub(super) fn place(&self, fd: Fd) -> Option<(usize, usize)> {
        match self.sockets.get(&fd)?.state {
            State::Connected { connection, side } => Some((connection, side)),
            State::Fresh | State::Listening { .. } => None,
        }
    }

    pub(super) fn hold(&self, fd: Fd) -> Held {
        Held::new(fd, Arc::clone(&self.dropped))
    }

    pub(super) fn report(&self) -> String {
        let mut text = String::new();
        writeln!(text, "seed {} at {} us", self.chaos.seed, self.now.0 / 1_000).expect("a String takes all");
        for (number, ring) in self.rings.iter().enumerate().filter(|(_, ring)| ring.alive) {
            let host = &self.hosts[ring.host].name;
            let (leased, provided) = (ring.arena.leased(), ring.provided.len());
            writeln!(text, "ring {number} ({host}): parked {:?}, {leased} chunks leased, {provided} buffers", ring.parked)
                .expect("a String takes all");
            for (token, running) in &ring.operations {
                writeln!(text, "  {token:?}: {}", running.operation.describe()).expect("a String takes all");
            }
        }
        for (fd, socket) in &self.sockets {
            writeln!(text, "{fd:?} ({}): {}", self.hosts[socket.host].name, self.describe(socket)).expect("a String takes all");
        }
        text
    }

    fn describe(&self, socket: &Socket) -> String {
        match &socket.state {
            State::Fresh => "not connected".to_owned(),
            State::Listening { address, queue, coming, is_deaf } => {
                format!("listens on {address}, {} to accept, {coming} coming, deaf {is_deaf}", queue.len())
            }
            State::Connected { connection, side } => {
                let (connection, other) = (&self.connections[*connection], 1 - side);
                let (ours, peer) = (&connection.sides[*side], &connection.sides[other]);
                format!(
                    "{} - {}, {} to read, room to send {}, end arrived {}, end sent {}, dead {}, peer {:?}, broken {:?}",
                    ours.address,
                    peer.address,
                    ours.incoming.arrived.len(),
                    peer.incoming.room(),
                    ours.incoming.end_arrived,
                    peer.incoming.end_sent,
                    ours.dead,
                    peer.holder,
                    connection.broken,
                )
            }
        }
    }
}

impl Operation {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Accept { fd } => format!("accept {fd:?}"),
            Self::Receive { fd, credit } => format!("receive {fd:?}, credit {credit}"),
            Self::Send { fd, pieces, wait, sent } => {
                format!("send {fd:?}, {sent} of {} bytes, wait {wait}", pieces.iter().map(Chunk::len).sum::<usize>())
            }
            Self::Connect { fd, address } => format!("connect {fd:?} to {address}"),
            Self::Splice { from, to, length } => format!("splice {from:?} to {to:?}, {length}"),
            Self::Hangup { fd } => format!("await the end of {fd:?}"),
            Self::Goodbye { fd, given, wait } => format!("goodbye {fd:?} after {given} bytes, wait {wait}"),
            Self::Watch { .. } => "watch a bell".to_owned(),
            Self::Ended => "ended, not yet delivered".to_owned(),
        }
    }
}
