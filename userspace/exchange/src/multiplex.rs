//! HTTP/2 on a stream: many exchanges at once. The connection's task takes in what comes and gives each exchange its Parts; what is to be sent
//! is asked for by the reactor when the socket can send (see [`Layer`]), so no task has to wake for it.

use core::{
    cell::{Cell, RefCell},
    task::Poll,
};
use std::{collections::VecDeque, rc::Rc};

use buf::{Chunk, Output};
use h2::Event;
use io::{Layer, ROOM_BYTES, Ring, Signal, Waiter};
use model::{Cause, Fault, Head, Part, StreamId};

use crate::{Arrival, Transport, inlet::Inlet, transport::Tls};

/// Chunks taken in before the exchanges have their turn.
const CHUNKS_A_POLL_MAX: u32 = 16;

/// The codec, and the exchanges that it carries.
pub(crate) struct Multiplex {
    ring: Ring,
    /// The record layer beneath.
    tls: Option<Rc<Tls>>,
    state: RefCell<State>,
    /// The connection's task.
    driver: Waiter,
    /// Those who must know what the peer can do before they begin.
    greeting: Signal,
    exchanges: Cell<u64>,
    /// Something was put into an inlet or given to the codec since receive buffers were last looked for.
    filled: Cell<bool>,
}

/// A request that has come, and what has come of it.
type Arrived = (StreamId, Rc<Inlet>);

struct State {
    codec: h2::Connection,
    /// Sorted, since identifiers only grow.
    inlets: Vec<(StreamId, Rc<Inlet>)>,
    /// What the connection's task has to tell.
    arrivals: VecDeque<Result<Arrived, Arrival>>,
    /// It broke: why. Nothing more is received.
    broken: Option<Fault>,
    /// Those who wait for the peer's greeting before they begin.
    waiting: u32,
}

impl State {
    /// Until the peer has said how many it takes, it is given one; and who waited for that comes first.
    fn capacity(&self) -> u32 {
        let has_one = !self.inlets.is_empty() || self.waiting > 0;
        if self.broken.is_some() || !self.codec.is_greeted() && has_one {
            return 0;
        }
        self.codec.capacity().saturating_sub(self.waiting)
    }

    fn inlet(&self, id: StreamId) -> Option<&Rc<Inlet>> {
        match self.inlets.last() {
            Some((last, inlet)) if *last == id => Some(inlet),
            _ => self.inlets.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| &self.inlets[at].1),
        }
    }

    fn add(&mut self, id: StreamId) -> Rc<Inlet> {
        let inlet = Rc::new(Inlet::default());
        self.inlets.push((id, Rc::clone(&inlet)));
        inlet
    }
}

impl Multiplex {
    pub(crate) fn new(codec: h2::Connection, transport: &Transport) -> Rc<Self> {
        let state = State { codec, inlets: Vec::new(), arrivals: VecDeque::new(), broken: None, waiting: 0 };
        Rc::new(Self {
            ring: transport.ring().clone(),
            tls: transport.tls(),
            state: RefCell::new(state),
            driver: Waiter::default(),
            greeting: Signal::default(),
            exchanges: Cell::new(0),
            filled: Cell::new(false),
        })
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.get()
    }

    pub(crate) fn under_way(&self) -> usize {
        self.state.borrow().inlets.len()
    }

    pub(crate) fn capacity(&self) -> u32 {
        let state = self.state.borrow();
        state.capacity()
    }

    /// Waits until the peer has said what it can do, or is gone.
    pub(crate) async fn greeted(&self) {
        let _counted = Waiting::new(&self.state);
        loop {
            {
                let state = self.state.borrow();
                if state.codec.is_greeted() || state.broken.is_some() {
                    return;
                }
            }
            self.greeting.wait(&self.ring).await;
        }
    }

    pub(crate) fn in_frame(&self) -> bool {
        self.state.borrow().codec.in_frame()
    }

    pub(crate) fn shrink(&self) {
        let mut state = self.state.borrow_mut();
        state.codec.shrink();
        state.inlets.shrink_to_fit();
        state.arrivals.shrink_to_fit();
    }

    pub(crate) fn leave(&self, at_once: bool) {
        let codec = &mut self.state.borrow_mut().codec;
        if at_once {
            codec.drain_now();
        } else {
            codec.drain();
        }
    }

    // ---- for the connection's task ----

    /// Takes in what has come, until there is something to tell.
    pub(crate) fn poll_arrival(&self, transport: &Transport) -> Poll<Result<Arrived, Arrival>> {
        self.driver.wait(&self.ring);
        for _ in 0..CHUNKS_A_POLL_MAX {
            let state = &mut *self.state.borrow_mut();
            if let Some(arrival) = state.arrivals.pop_front() {
                return Poll::Ready(arrival);
            }
            state.arrivals = VecDeque::new();
            if state.broken.is_some() || state.codec.is_over() && state.inlets.is_empty() {
                return Poll::Ready(Err(Arrival::Over(state.broken)));
            }
            match transport.poll_receive() {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) if !chunk.is_empty() => {
                    let (full, greeted) = (state.capacity() == 0, state.codec.is_greeted());
                    self.take_in(state, chunk);
                    if state.codec.is_greeted() != greeted {
                        self.greeting.notify(&self.ring);
                    }
                    if full && state.capacity() > 0 {
                        state.arrivals.push_back(Err(Arrival::Room));
                    }
                }
                Poll::Ready(_) => {
                    let fault = state.codec.eof().err();
                    self.break_off(state, fault);
                }
            }
            if state.codec.has_output() {
                transport.wants_to_send();
            }
        }
        // More may have come: the exchanges go first.
        self.driver.wake(&self.ring);
        Poll::Pending
    }

    fn take_in(&self, state: &mut State, mut chunk: Chunk) {
        loop {
            match state.codec.receive(&mut chunk, self.ring.now()) {
                Ok(Some(event)) => self.handle(state, event),
                Ok(None) => return,
                Err(fault) => return self.break_off(state, Some(fault)),
            }
        }
    }

    fn handle(&self, state: &mut State, event: Event) {
        match event {
            Event::Part(id, part) => {
                self.filled.set(true);
                if let Some(inlet) = state.inlet(id) {
                    return inlet.put(part, &self.ring);
                }
                self.arrived(state, id).put(part, &self.ring);
            }
            Event::Refused(id, fault) => {
                let inlet = state.inlet(id).cloned();
                inlet.unwrap_or_else(|| self.arrived(state, id)).fail(fault, false, &self.ring);
            }
            Event::Reset(id, fault) => {
                if let Some(inlet) = state.inlet(id) {
                    inlet.fail(fault, !state.codec.is_server(), &self.ring);
                }
            }
            Event::Rejected(_, fault) => state.arrivals.push_back(Err(Arrival::Rejected(fault))),
            Event::Reached(limit) => state.arrivals.push_back(Err(Arrival::Reached(limit.name()))),
            Event::Draining => {}
        }
    }

    /// A request of which nothing was heard before.
    fn arrived(&self, state: &mut State, id: StreamId) -> Rc<Inlet> {
        self.exchanges.set(self.exchanges.get() + 1);
        let inlet = state.add(id);
        state.arrivals.push_back(Ok((id, Rc::clone(&inlet))));
        inlet
    }

    /// The connection is over, by a fault if there is one: nothing comes any more for anyone.
    fn break_off(&self, state: &mut State, fault: Option<Fault>) {
        let is_response = !state.codec.is_server();
        let gone = if is_response { Fault::origin(Cause::UpstreamReset) } else { Fault::client(Cause::DownstreamReset) };
        let broken = fault.unwrap_or(gone);
        state.broken = Some(broken);
        state.arrivals.push_back(Err(Arrival::Over(fault)));
        self.greeting.notify(&self.ring);
        // (What a client did wrong is counted once, with the connection: to its requests it is gone.)
        let told = if is_response { broken } else { gone };
        for (_, inlet) in &state.inlets {
            inlet.fail(told, is_response, &self.ring);
        }
    }

    // ---- for an exchange ----

    /// Opens an exchange with a request's head.
    pub(crate) fn open(&self, transport: &Transport, head: &Head) -> Result<Arrived, Fault> {
        let state = &mut *self.state.borrow_mut();
        if state.broken.is_some() {
            return Err(Fault::origin(Cause::StreamRefused).safe());
        }
        let id = state.codec.open(head)?;
        self.exchanges.set(self.exchanges.get() + 1);
        transport.wants_to_send();
        Ok((id, state.add(id)))
    }

    pub(crate) fn poll_next(&self, transport: &Transport, id: StreamId, inlet: &Inlet) -> Poll<Result<Part, Fault>> {
        let Some(part) = inlet.take() else {
            if let Some(fault) = inlet.fault() {
                return Poll::Ready(Err(fault));
            }
            inlet.wait(&self.ring);
            return Poll::Pending;
        };
        if let Part::Data(data) = &part {
            // Whoever takes a Part has room for it: so windows follow what is consumed.
            let codec = &mut self.state.borrow_mut().codec;
            codec.consumed(id, data.len());
            if codec.has_output() {
                transport.wants_to_send();
            }
        }
        Poll::Ready(Ok(part))
    }

    pub(crate) fn poll_room(&self, id: StreamId, inlet: &Inlet) -> Poll<Result<(), Fault>> {
        if let Some(fault) = inlet.fault() {
            return Poll::Ready(Err(fault));
        }
        if self.state.borrow_mut().codec.room(id) > 0 {
            return Poll::Ready(Ok(()));
        }
        inlet.wait(&self.ring);
        Poll::Pending
    }

    pub(crate) fn send(&self, transport: &Transport, id: StreamId, part: Part) -> Result<(), Fault> {
        self.filled.set(true);
        transport.wants_to_send();
        self.state.borrow_mut().codec.send(id, part).map(drop)
    }

    pub(crate) fn send_head(&self, transport: &Transport, id: StreamId, head: &Head) -> Result<(), Fault> {
        transport.wants_to_send();
        self.state.borrow_mut().codec.send_head(id, head).map(drop)
    }

    /// Ready when it is over before its time.
    pub(crate) fn poll_broken(&self, inlet: &Inlet) -> Poll<()> {
        if inlet.fault().is_some() {
            return Poll::Ready(());
        }
        inlet.wait(&self.ring);
        Poll::Pending
    }

    /// Nobody asks for an exchange any more.
    pub(crate) fn release(&self, transport: &Transport, id: StreamId) {
        let state = &mut *self.state.borrow_mut();
        state.codec.release(id);
        if let Ok(at) = state.inlets.binary_search_by_key(&id, |(id, _)| *id) {
            state.inlets.remove(at);
        }
        if state.inlets.is_empty() {
            state.inlets = Vec::new();
            self.driver.wake(&self.ring);
        }
        if state.codec.has_output() {
            transport.wants_to_send();
        }
    }

    fn wake_those_with_room(&self, state: &mut State) {
        while let Some(id) = state.codec.next_with_room() {
            if let Some(inlet) = state.inlet(id) {
                inlet.wake(&self.ring);
            }
        }
    }
}

/// One who waits for the peer's greeting.
struct Waiting<'a>(&'a RefCell<State>);

impl<'a> Waiting<'a> {
    fn new(state: &'a RefCell<State>) -> Self {
        state.borrow_mut().waiting += 1;
        Self(state)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().waiting -= 1;
    }
}

impl Layer for Multiplex {
    fn fill(&self, output: &mut Output) {
        let state = &mut *self.state.borrow_mut();
        match &self.tls {
            None => state.codec.transmit(output, ROOM_BYTES),
            Some(tls) => tls.fill_with(output, |plain| state.codec.transmit(plain, ROOM_BYTES)),
        }
        self.wake_those_with_room(state);
        if state.codec.is_over() {
            self.driver.wake(&self.ring);
        }
    }

    fn move_to_heap(&self) -> usize {
        if !self.filled.take() {
            return 0;
        }
        // (Nothing waits in the record layer: what the codec gives it is sealed at once.)
        let state = &mut *self.state.borrow_mut();
        state.inlets.iter().map(|(_, inlet)| inlet.move_to_heap()).sum::<usize>() + state.codec.move_to_heap()
    }
}
