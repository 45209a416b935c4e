//! Simulated clients that speak WebSocket with an origin that sends every byte back, over either HTTP version on either side: all that they sent comes
//! back and ends with them, or the connection is seen to break.

use core::time::Duration;
use std::rc::Rc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use buf::Chunk;
use exchange::Transport;
use h2::{ErrorCode, Event};
use io::sim::{Chance, Random};
use model::{Fields, Instant, Method, Part, RequestLine, Scheme, Start, StreamId, Text};

use crate::{
    client::Client,
    http2_client::fields,
    link::{Came, Link},
    whims::{self, Side},
    wire::{Ended, Wire, write_slowly},
};

/// What an origin opens a tunnel for.
pub const TUNNEL: &str = "/tunnel";

/// After how long without anything a client gives up: far beyond every timeout of the proxy's.
const PATIENCE: Duration = Duration::from_secs(10_000);
/// How soon is looked again whether a tunnel may be asked for.
const LOOK: Duration = Duration::from_millis(10);
/// Most bytes sent through one tunnel.
const BYTES_MAX: usize = 60_000;

/// What a client wants to send, and when it loses interest.
struct Wish {
    bytes: Vec<u8>,
    /// After how many bytes have come back.
    leaves_after: Option<usize>,
    /// Microseconds between pieces.
    rest: [u64; 2],
}

/// What came of a tunnel.
#[derive(Debug)]
enum Outcome {
    /// The other side has ended its half.
    Ended,
    /// It was not opened: status and reason.
    Declined(String),
    Broken(Ended),
    Left,
}

impl Client {
    /// Opens one, over a connection of its own.
    pub async fn tunnel(self, mut random: Random) {
        self.ring.sleep(Duration::from_micros(random.below(200_000) as u64)).await;
        let Ok(stream) = self.ring.connect(&self.address).await else { return };
        let ours = stream.local().ok();
        let many = self.http2 && random.happens(Chance(7_500));
        let secured = self.secured(stream, many).await;
        let mut wish = Wish {
            bytes: (0..random.below(BYTES_MAX)).map(|at| (at % 251).to_le_bytes()[0]).collect(),
            leaves_after: random.happens(Chance(2_000)).then(|| random.below(BYTES_MAX)),
            rest: random.pick(&[[0, 0], [0, 500], [0, 30_000]]),
        };
        let sent = wish.bytes.clone();
        let mut got = Vec::new();
        let outcome = match secured {
            None => Outcome::Broken(Ended::Broken),
            Some(transport) if many => self.tunnel_in_stream(transport, &mut wish, &mut got, &mut random).await,
            Some(transport) => self.tunnel_in_connection(transport, wish, &mut got, &mut random).await,
        };
        let broken = ours.is_none_or(|ours| self.world.was_broken(&ours));
        self.world.note(&format!("tunnel of {} bytes: {} came back, {outcome:?}", sent.len(), got.len()));
        let may_fail = broken || self.tunnels_may_fail;
        let is_right = sent.starts_with(&got)
            && match &outcome {
                // Whatever broke: an end says that this was all.
                Outcome::Ended => got.len() == sent.len(),
                Outcome::Left => true,
                Outcome::Declined(status) => may_fail && status.starts_with('5'),
                Outcome::Broken(Ended::Silent) => broken,
                Outcome::Broken(ended) => may_fail && *ended != Ended::Malformed,
            };
        if !is_right {
            self.ledger.wrong(format!("tunnel: of {} bytes {} came back, {outcome:?}, broken: {broken}", sent.len(), got.len()));
        }
    }

    /// Over HTTP/1 the connection becomes the tunnel (RFC 6455).
    async fn tunnel_in_connection(&self, transport: Transport, wish: Wish, got: &mut Vec<u8>, random: &mut Random) -> Outcome {
        let mut wire = Wire::new(transport, PATIENCE);
        let key = STANDARD.encode(random.bits().to_le_bytes().repeat(2));
        let head = format!(
            "GET {TUNNEL} HTTP/1.1\r\nhost: shop.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n"
        );
        wire.transport.write(|output| output.write(head.as_bytes()));
        let head = match wire.head().await {
            Ok(head) => head,
            Err(ended) => return Outcome::Broken(ended),
        };
        if head.word(1) != "101" {
            return Outcome::Declined(format!("{} {:?}", head.word(1), head.field("x-sluice-reason")));
        }
        if head.field("sec-websocket-accept") != Some(accept(&key)) {
            self.ledger.wrong(format!("a tunnel with a wrong proof: {head:?}"));
        }
        let (stream, mut pieces, leaves_after) = (Rc::clone(&wire.transport), random.fork(), wish.leaves_after);
        self.ring.spawn(async move {
            if write_slowly(&stream, &wish.bytes, &mut pieces, &wish.rest).await.is_ok() {
                stream.finish();
            }
        });
        loop {
            if leaves_after.is_some_and(|bytes| got.len() >= bytes) {
                return Outcome::Left;
            }
            match wire.some().await {
                Ok(bytes) => got.extend(bytes),
                Err(Ended::Closed) => return Outcome::Ended,
                Err(ended) => return Outcome::Broken(ended),
            }
        }
    }

    /// Over HTTP/2 a stream does (RFC 8441).
    async fn tunnel_in_stream(&self, transport: Transport, wish: &mut Wish, got: &mut Vec<u8>, random: &mut Random) -> Outcome {
        let settings = whims::settings(random);
        let mut link = Link::new(transport, Side::Client, settings, random);
        let outcome = self.carry_through(&mut link, wish, got, random).await;
        if !matches!(outcome, Outcome::Broken(Ended::Silent)) {
            link.linger().await;
        }
        outcome
    }

    async fn carry_through(&self, link: &mut Link, wish: &mut Wish, got: &mut Vec<u8>, random: &mut Random) -> Outcome {
        let mut silent_at = link.now() + PATIENCE;
        let mut tunnel: Option<StreamId> = None;
        let (mut open, mut complete, mut next_piece) = (false, false, Instant(0));
        loop {
            if tunnel.is_none() && link.codec.takes_connect_protocol() && link.codec.capacity() > 0 {
                let scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
                tunnel = Some(link.codec.open(&head(scheme)).expect("there is capacity, and the head is well-formed"));
            }
            // (Settings are no event.)
            let mut due = if tunnel.is_some() { silent_at } else { silent_at.min(link.now() + LOOK) };
            if let Some(id) = tunnel.filter(|_| open && !complete) {
                (complete, next_piece) = feed(link, id, wish, next_piece, random);
                due = if link.codec.room(id) > 0 && !complete { due.min(next_piece) } else { due };
            }
            if let Some(id) = tunnel.filter(|_| wish.leaves_after.is_some_and(|bytes| got.len() >= bytes)) {
                link.codec.reset(id, ErrorCode::Cancel);
                link.codec.release(id);
                return Outcome::Left;
            }
            match link.next(due).await {
                Came::Event(Event::Part(_, Part::Head(head))) if head.status() == 101 => open = true,
                Came::Event(Event::Part(id, Part::Head(head))) => {
                    link.codec.release(id);
                    let reason = fields(&head).into_iter().find(|(name, _)| name == "x-sluice-reason");
                    return Outcome::Declined(format!("{} {reason:?}", head.status()));
                }
                Came::Event(Event::Part(_, Part::Data(data))) => got.extend_from_slice(&data),
                Came::Event(Event::Part(id, Part::End)) => {
                    link.codec.release(id);
                    return Outcome::Ended;
                }
                Came::Event(Event::Reset(id, _)) => {
                    link.codec.release(id);
                    return Outcome::Broken(Ended::Reset);
                }
                Came::Event(Event::Part(..) | Event::Draining) => {}
                Came::Event(event) => self.ledger.wrong(format!("a tunnel's connection: {event:?}")),
                Came::Turn if link.now() >= silent_at => return Outcome::Broken(Ended::Silent),
                Came::Turn => continue,
                Came::Over(ended) => return Outcome::Broken(ended),
            }
            silent_at = link.now() + PATIENCE;
        }
    }
}

/// Sends what may be sent; whether that was all, and when the next piece may go.
fn feed(link: &mut Link, id: StreamId, wish: &mut Wish, mut next_piece: Instant, random: &mut Random) -> (bool, Instant) {
    let now = link.now();
    while !wish.bytes.is_empty() {
        if now < next_piece || link.codec.room(id) == 0 {
            return (false, next_piece);
        }
        let length = (1 + random.below(8_000)).min(wish.bytes.len());
        let piece: Vec<u8> = wish.bytes.drain(..length).collect();
        let _dropped_when_gone = link.codec.send(id, Part::Data(Chunk::from(piece)));
        next_piece = now + Duration::from_micros(random.pick(&wish.rest));
    }
    let _dropped_when_gone = link.codec.send(id, Part::End);
    (true, next_piece)
}

fn head(scheme: Scheme) -> model::Head {
    let line = RequestLine {
        method: Method::Get,
        scheme,
        authority: Text::copy_of(b"shop.example.com"),
        path: Text::copy_of(TUNNEL.as_bytes()),
        protocol: Text::copy_of(b"websocket"),
    };
    let mut fields = Fields::default();
    fields.append(b"sec-websocket-version", b"13");
    model::Head { start: Start::Request(line), fields, body: model::Body::Unknown, end: false }
}

/// What proves that a key was understood (RFC 6455 §4.2.2).
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}
