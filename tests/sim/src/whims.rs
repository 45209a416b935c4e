//! What an HTTP/2 peer may do beside its requests, and nobody can forbid it: read late or in crumbs, ping, change its settings under way, take
//! its leave and go on all the same.

use core::time::Duration;
use std::collections::VecDeque;

use h2::{Connection, Settings};
use io::sim::{Chance, Random};
use model::{Instant, StreamId};

use crate::frames::{self, frame};

/// The names of settings (RFC 9113 §6.5.2).
const TABLE_BYTES: u16 = 1;
const STREAMS: u16 = 3;
const WINDOW: u16 = 4;
const FRAME_BYTES: u16 = 5;
const NOBODYS: u16 = 0xabcd;

/// How soon what has found no room is tried again.
const TICK: Duration = Duration::from_millis(10);

/// Which side of the connection somebody is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Sends requests.
    Client,
    /// Answers them.
    Origin,
}

/// One peer's.
#[derive(Debug)]
pub struct Whims {
    /// Bytes consumed at a time, and microseconds between two times.
    crumbs: usize,
    rest: u64,
    /// Bytes that came and were not consumed.
    plate: VecDeque<(StreamId, usize)>,
    eats_at: Instant,
    /// What is said, and when; the next one last.
    sayings: Vec<(Instant, Vec<u8>)>,
    /// PINGs that were sent.
    pub pings: u32,
    /// SETTINGS that were sent, the codec's own among them.
    pub settings: u32,
}

/// What a peer's codec is told: windows and tables small and large.
pub fn settings(random: &mut Random) -> Settings {
    Settings {
        // Whoever opens windows by less than a quarter of a kilobyte is taken for an attacker.
        stream_window: random.pick(&[600, 5_000, 65_535, 262_144]),
        connection_window: random.pick(&[65_535, 1_048_576]),
        decoder_table_bytes: random.pick(&[0, 100, 4_096]),
        encoder_table_bytes: random.pick(&[0, 100, 4_096]),
        streams_max: random.pick(&[1, 3, 100]),
        ..Settings::default()
    }
}

impl Whims {
    /// Those of a peer with these settings, whose connection begins now.
    pub fn new(side: Side, settings: &Settings, now: Instant, random: &mut Random) -> Self {
        let (crumbs, rest) = random.pick(&[(usize::MAX, 0), (usize::MAX, 0), (usize::MAX, 50_000), (5_000, 1_000), (300, 500)]);
        let mut whims = Self { crumbs, rest, plate: VecDeque::new(), eats_at: Instant(0), sayings: Vec::new(), pings: 0, settings: 1 };
        if random.happens(Chance(5_000)) {
            whims.plan(side, settings, now, random);
        }
        whims.sayings.sort_by_key(|(at, _)| *at);
        whims.sayings.reverse();
        whims
    }

    fn plan(&mut self, side: Side, settings: &Settings, now: Instant, random: &mut Random) {
        for _ in 0..random.below(5) {
            let at = now + Duration::from_micros(random.below(300_000) as u64);
            let later = at + Duration::from_micros(random.pick(&[0, 1_000, 500_000]));
            // What is taken away is given back, so that everything ends.
            let there_and_back =
                |name, less: u32, again: u32| vec![(at, frames::setting(name, less)), (later, frames::setting(name, again))];
            let said = match random.below(8) {
                0 => there_and_back(WINDOW, random.pick(&[0, 1, settings.stream_window / 2]), settings.stream_window),
                1 => there_and_back(TABLE_BYTES, settings.decoder_table_bytes / 2, settings.decoder_table_bytes),
                2 if side == Side::Origin => there_and_back(STREAMS, 1, settings.streams_max),
                3 => vec![(at, frames::setting(FRAME_BYTES, random.pick(&[16_384, 20_000, 16_777_215])))],
                4 => vec![(at, frames::setting(NOBODYS, 7))],
                5 if side == Side::Client => vec![(at, frames::goaway(0, 0))],
                6 => vec![(at, frame(frames::UNKNOWN, 0xff, 0, b"nobody knows what this is"))],
                _ => vec![(at, frame(frames::PING, 0, 0, b"hello???"))],
            };
            self.sayings.extend(said);
        }
    }

    /// Content has come.
    pub fn came(&mut self, stream: StreamId, bytes: usize) {
        self.plate.push_back((stream, bytes));
    }

    /// Whether nothing is left to be said.
    pub fn is_silent(&self) -> bool {
        self.sayings.is_empty()
    }

    /// Consumes what is due.
    pub fn eat(&mut self, codec: &mut Connection, now: Instant) {
        if self.plate.is_empty() || now < self.eats_at {
            return;
        }
        let mut left = self.crumbs;
        while left > 0
            && let Some((stream, bytes)) = self.plate.front_mut()
        {
            let eaten = left.min(*bytes);
            codec.consumed(*stream, eaten);
            left -= eaten;
            *bytes -= eaten;
            if *bytes == 0 {
                self.plate.pop_front();
            }
        }
        self.eats_at = now + Duration::from_micros(self.rest);
    }

    /// What is to be said now.
    pub fn say(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (_, said) = self.sayings.pop_if(|(at, _)| *at <= now)?;
        self.settings += u32::from(said[3] == frames::SETTINGS);
        self.pings += u32::from(said[3] == frames::PING);
        Some(said)
    }

    /// When there is something to do next. What is due already waits for room.
    pub fn due(&self, now: Instant) -> Instant {
        let eats_at = if self.plate.is_empty() { Instant::NEVER } else { self.eats_at };
        self.sayings.last().map_or(Instant::NEVER, |(at, _)| *at).max(now + TICK).min(eats_at)
    }
}
