//! Just enough HTTP/2 to ask the same question on many streams and to know that each answer is whole.
//!
//! Windows are so wide that they never close, requests use the static table alone, and of an answer's head only the status is read: a server
//! names 200 by the static table too (RFC 7541 appendix A), which is looked at in the first byte.

use super::reply::Progress;
use super::{Path, Plan};

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
/// Everything that a server may send unasked: larger frames were not allowed to it (RFC 9113 §4.2).
const FRAME_BYTES_MAX: usize = 16 << 10;
/// RFC 9113 §6.9.1: the widest window there is.
const WINDOW: u32 = (1 << 31) - 1;
/// RFC 9113 §6.9.2: what a connection's window is before anybody widens it.
const FIRST_WINDOW: u32 = 65_535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

const INITIAL_WINDOW_SIZE: u16 = 4;

/// RFC 7541 §6.1 and appendix A: indexed fields of the static table.
const GET: u8 = 0x82;
const PATH_ROOT: u8 = 0x84;
const SCHEME_HTTP: u8 = 0x86;
const SCHEME_HTTPS: u8 = 0x87;
const STATUS_200: u8 = 0x88;
/// RFC 7541 §6.2.2: a literal without indexing, its name by the static table.
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const ACCEPT: u8 = 0x0f;
const ACCEPT_MORE: u8 = 19 - 0x0f;
const USER_AGENT_MORE: u8 = 58 - 0x0f;

/// One connection's client side.
pub(super) struct Http2 {
    body_bytes: u64,
    /// The field block of every request.
    block: Vec<u8>,
    next_stream: u32,
    /// Streams without their whole answer.
    open: Vec<Stream>,
    /// A frame that came without its end.
    frame: Vec<u8>,
    /// Bytes of bodies: they may not exceed the connection's window, which is never widened again.
    received: u64,
}

struct Stream {
    id: u32,
    accepted: bool,
    body: u64,
}

impl Http2 {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut block = vec![GET, if plan.tls.is_some() { SCHEME_HTTPS } else { SCHEME_HTTP }];
        match plan.path {
            Path::Small => block.push(PATH_ROOT),
            Path::Large => literal(&mut block, &[PATH], plan.path.text()),
        }
        literal(&mut block, &[AUTHORITY], "bench.example.com");
        literal(&mut block, &[ACCEPT, USER_AGENT_MORE], "sluice-perf");
        literal(&mut block, &[ACCEPT, ACCEPT_MORE], "*/*");
        Self { body_bytes: plan.path.bytes(), block, next_stream: 1, open: Vec::new(), frame: Vec::new(), received: 0 }
    }

    /// Write a request; before the first one also what a connection begins with.
    pub(super) fn ask(&mut self, out: &mut Vec<u8>) {
        if self.next_stream == 1 {
            out.extend_from_slice(PREFACE);
            frame(out, (SETTINGS, 0, 0), &[&INITIAL_WINDOW_SIZE.to_be_bytes(), &WINDOW.to_be_bytes()]);
            frame(out, (WINDOW_UPDATE, 0, 0), &[&(WINDOW - FIRST_WINDOW).to_be_bytes()]);
        }
        frame(out, (HEADERS, END_STREAM | END_HEADERS, self.next_stream), &[&self.block]);
        self.open.push(Stream { id: self.next_stream, accepted: false, body: 0 });
        self.next_stream += 2;
    }

    /// Take what was received; what is to be said about it goes to `out`.
    pub(super) fn take(&mut self, received: &[u8], out: &mut Vec<u8>) -> Progress {
        let mut whole = 0;
        let joined;
        let mut rest = received;
        if !self.frame.is_empty() {
            self.frame.extend_from_slice(received);
            joined = core::mem::take(&mut self.frame);
            rest = &joined;
        }
        while let Some((head, after)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if length > FRAME_BYTES_MAX {
                return Progress::Wrong;
            }
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            match self.hear((head[3], head[4], stream), payload, out) {
                Some(ended) => whole += u64::from(ended),
                None => return Progress::Wrong,
            }
            rest = after;
        }
        self.frame.extend_from_slice(rest);
        if whole > 0 { Progress::Whole(whole) } else { Progress::More }
    }

    /// Whether the frame ends an answer; `None` when it is not what we asked for.
    fn hear(&mut self, (kind, flags, id): (u8, u8, u32), payload: &[u8], out: &mut Vec<u8>) -> Option<bool> {
        match kind {
            SETTINGS if flags & ACK == 0 => frame(out, (SETTINGS, ACK, 0), &[]),
            PING if flags & ACK == 0 => frame(out, (PING, ACK, 0), &[payload]),
            RST_STREAM | GOAWAY => return None,
            HEADERS => {
                let padding = usize::from(flags & PADDED != 0);
                // RFC 7541 §6.3: changes of the table's size come first.
                let first = payload.get(padding..)?.iter().find(|byte| **byte >> 5 != 1)?;
                self.open.iter_mut().find(|stream| stream.id == id)?.accepted = *first == STATUS_200;
            }
            DATA => {
                let padding = if flags & PADDED == 0 { 0 } else { 1 + u64::from(*payload.first()?) };
                self.received += payload.len() as u64;
                self.open.iter_mut().find(|stream| stream.id == id)?.body += (payload.len() as u64).checked_sub(padding)?;
            }
            _ => return Some(false),
        }
        if !matches!(kind, HEADERS | DATA) || flags & END_STREAM == 0 {
            return (self.received < u64::from(WINDOW)).then_some(false);
        }
        let at = self.open.iter().position(|stream| stream.id == id)?;
        let stream = self.open.swap_remove(at);
        (stream.accepted && stream.body == self.body_bytes).then_some(true)
    }
}

/// RFC 7541 §6.2.2, with a value of less than 127 bytes as it is.
fn literal(block: &mut Vec<u8>, name: &[u8], value: &str) {
    block.extend_from_slice(name);
    block.push(u8::try_from(value.len()).expect("our own values are short"));
    block.extend_from_slice(value.as_bytes());
}

fn frame(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    let length = u32::try_from(length).expect("our own frames are short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    for piece in payload {
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::{ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, Progress, RST_STREAM, SETTINGS, STATUS_200, frame};
    use crate::load::{Http, Path, Plan, Shape};

    fn client(requests: usize) -> Http2 {
        let target = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let http = Http::Two { streams: requests };
        let mut client = Http2::new(&Plan { target, path: Path::Small, connections: 1, shape: Shape::KeepAlive, http, tls: None });
        (0..requests).for_each(|_| client.ask(&mut Vec::new()));
        client
    }

    fn answer(id: u32, status: u8, body: usize) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, (HEADERS, END_HEADERS, id), &[&[0x20, status]]);
        frame(&mut out, (DATA, END_STREAM, id), &[&vec![b'x'; body]]);
        out
    }

    #[test]
    fn every_split_of_two_answers_is_understood() {
        let whole = [answer(3, STATUS_200, 1024), answer(1, STATUS_200, 1024)].concat();
        for split in 1..whole.len() {
            let mut client = client(2);
            let count = [&whole[..split], &whole[split..]].map(|piece| match client.take(piece, &mut Vec::new()) {
                Progress::Whole(count) => count,
                Progress::More => 0,
                Progress::Wrong => panic!("split at {split}"),
            });
            assert_eq!(count.iter().sum::<u64>(), 2);
        }
    }

    #[test]
    fn other_answers_are_wrong() {
        let mut refused = Vec::new();
        frame(&mut refused, (RST_STREAM, 0, 1), &[&[0; 4]]);
        let mut leaving = Vec::new();
        frame(&mut leaving, (GOAWAY, 0, 0), &[&[0; 8]]);
        for wrong in [answer(1, 0x8d, 1024), answer(1, STATUS_200, 1023), answer(5, STATUS_200, 1024), refused, leaving] {
            assert_eq!(client(1).take(&wrong, &mut Vec::new()), Progress::Wrong, "{wrong:?}");
        }
    }

    #[test]
    fn what_wants_an_answer_gets_one() {
        let (mut received, mut out) = (Vec::new(), Vec::new());
        frame(&mut received, (SETTINGS, 0, 0), &[]);
        frame(&mut received, (PING, 0, 0), &[b"12345678"]);
        frame(&mut received, (SETTINGS, ACK, 0), &[]);
        assert_eq!(client(1).take(&received, &mut out), Progress::More);
        let mut expected = Vec::new();
        frame(&mut expected, (SETTINGS, ACK, 0), &[]);
        frame(&mut expected, (PING, ACK, 0), &[b"12345678"]);
        assert_eq!(out, expected);
    }
}
