//! Steady traffic: a few clients, a connection each that stays, a few hundred requests a second together.
//!
//! A client that is refused or cut off counts it and comes again; it never retries silently.

use super::config::{EDITED, ORIGINS};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What the clients have seen so far.
#[derive(Default, Clone)]
pub(super) struct Seen {
    pub(super) by_origin: [u64; 3],
    /// Answers by the edited configuration, and since when.
    pub(super) second: u64,
    pub(super) second_since: Option<Instant>,
    pub(super) failed: u64,
    pub(super) first_failure: String,
    /// Connections that were closed although all was well.
    pub(super) closed: u64,
}

/// The clients; they stop when this is dropped.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    outcomes: Receiver<Outcome>,
    seen: core::cell::RefCell<Seen>,
}

/// One request's end.
enum Outcome {
    Answered { origin: usize, edited: bool, closed: bool, at: Instant },
    Failed(String),
}

const CLIENTS: usize = 8;
/// Between two requests of one client: together about 400 a second.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 1 << 20;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: demo.example.com\r\nUser-Agent: sluice-demo\r\n\r\n";

impl Traffic {
    pub(super) fn start(target: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, outcomes) = mpsc::channel();
        let client = |_| {
            let (stop, sender) = (Arc::clone(&stop), sender.clone());
            thread::spawn(move || client(target, &stop, &sender))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, clients, outcomes, seen: core::cell::RefCell::default() }
    }

    /// Everything up to now.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = self.seen.borrow_mut();
        for outcome in self.outcomes.try_iter() {
            seen.add(outcome);
        }
        seen.clone()
    }

    /// Let the clients finish their last request, and hand out all they saw.
    pub(super) fn finish(mut self) -> Seen {
        self.join();
        self.seen()
    }

    fn join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has sent no outcome for it: count it as one.
            if client.join().is_err() {
                self.seen.borrow_mut().add(Outcome::Failed("a client panicked".to_owned()));
            }
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.join();
    }
}

impl Seen {
    pub(super) fn answered(&self) -> u64 {
        self.by_origin.iter().sum()
    }

    /// What came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        for (count, before) in later.by_origin.iter_mut().zip(earlier.by_origin) {
            *count -= before;
        }
        later.second -= earlier.second;
        later.failed -= earlier.failed;
        later.closed -= earlier.closed;
        later
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered { origin, edited, closed, at } => {
                self.by_origin[origin] += 1;
                self.second += u64::from(edited);
                self.closed += u64::from(closed);
                if edited && self.second_since.is_none_or(|since| at < since) {
                    self.second_since = Some(at);
                }
            }
            Outcome::Failed(why) => {
                if self.failed == 0 {
                    self.first_failure = why;
                }
                self.failed += 1;
            }
        }
    }
}

fn client(target: SocketAddr, stop: &AtomicBool, sender: &Sender<Outcome>) {
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let outcome = exchange(&mut connection, target).unwrap_or_else(|error| {
            connection = None;
            Outcome::Failed(error.to_string())
        });
        if sender.send(outcome).is_err() {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// One request over the connection, or over a new one where there is none.
fn exchange(connection: &mut Option<TcpStream>, target: SocketAddr) -> io::Result<Outcome> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(connect(target)?),
    };
    stream.write_all(REQUEST)?;
    let answer = read_answer(stream)?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(answer.lines().next().unwrap_or_default().to_owned()));
    }
    let closed = header(&answer, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if closed {
        *connection = None;
    }
    let named = ORIGINS.iter().position(|name| answer.contains(name));
    let origin = named.ok_or_else(|| io::Error::other("an answer that names no origin"))?;
    Ok(Outcome::Answered { origin, edited: header(&answer, EDITED).is_some(), closed, at: Instant::now() })
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Read until head and body are whole.
fn read_answer(stream: &mut impl Read) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece)? {
            0 => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed before the answer was whole")),
            count => answer.extend_from_slice(&piece[..count]),
        }
        let text = String::from_utf8_lossy(&answer);
        if is_whole(&text) {
            return Ok(text.into_owned());
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("an answer without end"));
        }
    }
}

/// The demo's origins send short answers: the length is known, or the chunks end.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    match header(head, "content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::{header, is_whole, read_answer};

    #[test]
    fn answers_end_where_they_say() {
        let table = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2", false),
        ];
        for (answer, whole) in table {
            assert_eq!(is_whole(answer), whole, "{answer:?}");
            assert_eq!(read_answer(&mut answer.as_bytes()).is_ok(), whole, "{answer:?}");
        }
    }

    #[test]
    fn headers_are_found_in_the_head_only() {
        let answer = "HTTP/1.1 200 OK\r\nX-One: 1\r\n\r\nx-two: 2";
        assert_eq!(header(answer, "x-one"), Some("1"));
        assert_eq!(header(answer, "x-two"), None);
    }
}
