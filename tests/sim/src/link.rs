//! One HTTP/2 connection of a test host: the product's codec, driven by the one task that owns the connection, with the host's whims between the
//! codec's frames.

use core::{future::poll_fn, task::Poll, time::Duration};
use std::rc::Rc;

use buf::Chunk;
use exchange::Transport;
use h2::{Connection, Event, Settings};
use io::{ROOM_BYTES, Timer, sim::Random};
use model::{Instant, Part};

use crate::{
    frames::Tally,
    whims::{Side, Whims},
    wire::Ended,
};

/// After how long without an answer to a PING or SETTINGS it will not come.
const ANSWERED: Duration = Duration::from_secs(1_000);

/// A connection.
pub struct Link {
    /// The product's.
    pub codec: Connection,
    /// What it stands on.
    pub transport: Transport,
    /// What came.
    pub tally: Tally,
    whims: Whims,
    timer: Timer,
    incoming: Chunk,
    /// Nothing more comes.
    is_over: bool,
}

/// What happens on a connection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "told once and taken apart at once")]
pub enum Came {
    /// The codec tells something.
    Event(Event),
    /// A stream may have room again, or the time has come.
    Turn,
    /// Nothing more comes.
    Over(Ended),
}

impl Link {
    /// On a connection whose handshake is done.
    pub fn new(transport: Transport, side: Side, settings: Settings, random: &mut Random) -> Self {
        let whims = Whims::new(side, &settings, transport.ring().now(), random);
        let settings = Rc::new(settings);
        let codec = if side == Side::Client { Connection::client(settings) } else { Connection::server(settings) };
        let timer = transport.ring().timer();
        Self { codec, transport, tally: Tally::default(), whims, timer, incoming: Chunk::default(), is_over: false }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.transport.ring().now()
    }

    /// What happens next, until then.
    pub async fn next(&mut self, until: Instant) -> Came {
        let came = poll_fn(|_| self.poll(until)).await;
        self.is_over |= matches!(came, Came::Over(_));
        came
    }

    fn poll(&mut self, until: Instant) -> Poll<Came> {
        loop {
            let now = self.now();
            self.whims.eat(&mut self.codec, now);
            match self.codec.receive(&mut self.incoming, now) {
                Ok(Some(event)) => {
                    if let Event::Part(stream, Part::Data(data)) = &event {
                        self.whims.came(*stream, data.len());
                    }
                    return Poll::Ready(Came::Event(event));
                }
                Ok(None) => {}
                Err(_rules_broken) => return Poll::Ready(Came::Over(Ended::Malformed)),
            }
            if self.send(now) || self.codec.is_server() && self.codec.is_over() {
                return Poll::Ready(Came::Turn);
            }
            match self.transport.poll_receive() {
                Poll::Ready(Ok(chunk)) if chunk.is_empty() => return Poll::Ready(Came::Over(Ended::Closed)),
                Poll::Ready(Ok(chunk)) => {
                    self.tally.count(&chunk);
                    self.incoming = chunk;
                    continue;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Came::Over(Ended::Broken)),
                Poll::Pending => {}
            }
            if until <= now {
                return Poll::Ready(Came::Turn);
            }
            self.timer.set(until.min(self.whims.due(now)));
            if self.timer.poll_expired().is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sends what there is room for; whether that made room on a stream.
    fn send(&mut self, now: Instant) -> bool {
        while self.codec.has_output() && self.transport.poll_room() == Poll::Ready(Ok(())) {
            self.transport.write(|output| self.codec.transmit(output, ROOM_BYTES));
            // The codec gives whole frames: here is a place between two.
            while let Some(said) = self.whims.say(now) {
                self.transport.write(|output| output.write(&said));
            }
        }
        if !self.codec.has_output() {
            while let Some(said) = self.whims.say(now) {
                self.transport.write(|output| output.write(&said));
            }
        }
        let mut roomy = false;
        while self.codec.next_with_room().is_some() {
            roomy = true;
        }
        roomy
    }

    /// Writes bytes of the host's own between two frames, behind all that the codec has to say now.
    pub async fn write(&mut self, bytes: &[u8]) {
        while self.codec.has_output() && self.transport.room().await.is_ok() {
            let before = self.transport.unsent();
            self.send(self.now());
            if self.transport.unsent() == before {
                break; // windows are closed
            }
        }
        self.transport.write(|output| output.write(bytes));
    }

    /// Waits until everything that asks for an answer has got it; what is missing, if the connection lasted.
    pub async fn settle(&mut self) -> Option<String> {
        let until = self.now() + ANSWERED;
        loop {
            if self.whims.is_silent() && self.tally.settings >= self.whims.settings && self.tally.pings >= self.whims.pings {
                return None;
            }
            if self.now() >= until {
                let (whims, tally) = (&self.whims, &self.tally);
                return Some(format!(
                    "of {} settings and {} pings were answered {} and {}",
                    whims.settings, whims.pings, tally.settings, tally.pings
                ));
            }
            if let Came::Over(_) = self.next(until).await {
                return None;
            }
        }
    }

    /// Ends our direction and reads the peer out: a close with unread bytes would reset the connection.
    pub async fn linger(mut self) {
        if self.is_over {
            return;
        }
        self.send(self.now());
        self.transport.finish();
        while self.transport.receive().await.is_ok_and(|chunk| !chunk.is_empty()) {}
    }
}
