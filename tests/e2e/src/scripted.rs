//! An origin in this process that does to each connection what a test says, and remembers every byte it was sent.

use alloc::sync::Arc;
use core::{fmt, net::SocketAddr};
use std::{
    io::{self, BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::PATIENCE;

extern crate alloc;

/// A listening origin. Its thread ends with the test program.
pub struct Scripted {
    address: SocketAddr,
    seen: Receiver<Seen>,
}

/// What a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which connection, from 0.
    pub connection: usize,
    /// A request's head, with its line ends.
    pub head: String,
    /// Its content: the bytes after the head as Content-Length says, or the chunks as they came.
    pub body: Vec<u8>,
}

/// A connection in the hands of a script.
#[derive(Debug)]
pub struct Turn {
    /// Which connection, from 0.
    pub connection: usize,
    /// The socket.
    pub stream: BufReader<TcpStream>,
    told: Sender<Seen>,
}

impl Turn {
    /// Reads a request and remembers it; `None` when the other side has closed.
    pub fn request(&mut self) -> Option<Seen> {
        let seen = self.read().ok()??;
        // The test may be over.
        drop(self.told.send(seen.clone()));
        Some(seen)
    }

    /// Sends bytes; the other side may be gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(io::Write::write_all(self.stream.get_mut(), bytes.as_ref()));
    }

    fn read(&mut self) -> io::Result<Option<Seen>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                return Ok(None);
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut body = Vec::new();
        let fields = head.to_ascii_lowercase();
        if let Some(length) = fields.lines().find_map(|line| line.strip_prefix("content-length:")) {
            body.resize(length.trim().parse().unwrap_or(0), 0);
            self.stream.read_exact(&mut body)?;
        } else if fields.contains("transfer-encoding:") {
            while !body.ends_with(b"0\r\n\r\n") && self.stream.read_until(b'\n', &mut body)? > 0 {}
        }
        Ok(Some(Seen { connection: self.connection, head, body }))
    }
}

impl Scripted {
    /// Listens, and has `script` play each connection in a thread of its own.
    pub fn start(script: impl Fn(&mut Turn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (told, seen) = channel();
        let script = Arc::new(script);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                drop(stream.set_read_timeout(Some(PATIENCE)));
                let (script, told) = (Arc::clone(&script), told.clone());
                thread::spawn(move || script(&mut Turn { connection, stream: BufReader::new(stream), told }));
            }
        });
        Self { address, seen }
    }

    /// Answers every request with 200 and the content `ok`.
    pub fn plain() -> Self {
        Self::start(|turn| {
            while turn.request().is_some() {
                turn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request that came; waits for it.
    #[track_caller]
    pub fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request at the origin")
    }

    /// All requests that came and were not told yet.
    pub fn all(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(out)
    }
}
