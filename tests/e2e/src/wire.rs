//! An HTTP/2 client that keeps no rule but the one that it is told to: frames out as [`crate::frames`] says them, and what comes back.

use core::{fmt, net::SocketAddr};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    PATIENCE,
    frames::{Target, frame, parse},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The error codes of RFC 9113 §7, by their numbers.
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

trait Bytes: Read + Write {
    fn socket(&self) -> &TcpStream;
}

impl Bytes for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Bytes for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

/// A connection.
pub struct Wire {
    stream: Box<dyn Bytes>,
    received: VecDeque<u8>,
    /// What has come, for those who ask what went wrong.
    story: Vec<Came>,
}

/// What may come back.
#[expect(missing_docs, reason = "fields of frames, by their names")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A response's status, or 0 for trailers.
    Head { stream: u32, status: u16, end: bool },
    /// Bytes of content.
    Data { stream: u32, length: usize, end: bool },
    /// A stream's end before its time.
    Reset { stream: u32, code: String },
    /// The connection's end announced.
    Goaway { code: String },
    /// Our settings are acknowledged.
    Acknowledged,
    /// Its settings, as they are written.
    Settings(Vec<u8>),
    /// A PING's answer.
    Pong(String),
    /// The connection is closed, or broken.
    Closed,
    /// Nothing, for as long as anything may take.
    Silence,
    /// Another frame, by its type.
    Other(u8),
}

impl Wire {
    /// Connects, in the clear or, with the file of who signed its certificate and a name, through TLS; agrees on `h2` then.
    #[track_caller]
    pub fn connect(address: SocketAddr, secure: Option<(&Path, &str)>) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        socket.set_nodelay(true).expect("a TCP socket");
        let stream: Box<dyn Bytes> = match secure {
            None => Box::new(socket),
            Some((ca, name)) => Box::new(handshake(socket, ca, name)),
        };
        Self { stream, received: VecDeque::new(), story: Vec::new() }
    }

    /// As a client begins: preface and settings, both sides' acknowledged.
    #[track_caller]
    pub fn greet(&mut self) {
        self.send(&[PREFACE, &frame(4, 0, 0, &[])].concat());
        let mut seen = (false, false);
        while seen != (true, true) {
            let came = self.came();
            if matches!(came, Came::Settings(_)) {
                self.send(&frame(4, 1, 0, &[]));
                seen.0 = true;
            } else if came == Came::Acknowledged {
                seen.1 = true;
            } else {
                assert_eq!(came, Came::Other(8), "a greeting is settings and a window");
            }
        }
        self.story.clear();
    }

    /// Sends bytes; the other side may be gone.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).and_then(|()| self.stream.flush()));
    }

    /// Plays a case: steps separated by `;`, each a frame, or bytes after `=`, or after `>` what must come now (as `expect` has it). The error
    /// says what came instead.
    pub fn play(&mut self, script: &str, target: Target<'_>) -> Result<(), String> {
        // What nobody waits between goes in one piece, so that it is not a matter of time what an answer meets.
        let mut bytes = Vec::new();
        for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
            if let Some(expected) = step.strip_prefix('>') {
                self.send(&core::mem::take(&mut bytes));
                self.expect(expected.trim())?;
            } else if let Some(text) = step.strip_prefix('=') {
                bytes.extend(text.trim().replace("\\r", "\r").replace("\\n", "\n").into_bytes());
            } else {
                bytes.extend(parse(step, target));
            }
        }
        self.send(&bytes);
        Ok(())
    }

    /// Reads on until it comes: `head 1`, `head 1 200`, `end 1`, `data 1 5` (the next of that stream has to), `pong 8bytes!!`, `ack`, `closed`;
    /// `goaway CODE`, `connection CODE` (or it is closed without a word), `stream CODE` (or the connection by the same). Codes are separated
    /// by `|`.
    fn expect(&mut self, expected: &str) -> Result<(), String> {
        let words: Vec<&str> = expected.split_whitespace().collect();
        loop {
            let came = self.came();
            match meets(&came, &words) {
                Some(true) => return Ok(()),
                Some(false) => return Err(format!("{expected}: {:?}", self.story)),
                None if came == Came::Closed || came == Came::Silence => return Err(format!("{expected}: {:?}", self.story)),
                None => {}
            }
        }
    }

    /// The next frame, or why there is none.
    pub fn came(&mut self) -> Came {
        let came = self.read().unwrap_or_else(|error| {
            let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            if late { Came::Silence } else { Came::Closed }
        });
        self.story.push(came.clone());
        came
    }

    /// All bytes of the next frame's head and payload, which are taken off what has come.
    fn read(&mut self) -> io::Result<Came> {
        self.fill(9)?;
        let head: Vec<u8> = self.received.drain(..9).collect();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        self.fill(length)?;
        let payload: Vec<u8> = self.received.drain(..length).collect();
        let stream = word(&head[5..]);
        let end = head[4] & 1 == 1;
        Ok(match head[3] {
            0 => Came::Data { stream, length, end },
            1 => Came::Head { stream, status: status(&payload), end },
            3 => Came::Reset { stream, code: code(&payload) },
            4 if end => Came::Acknowledged,
            4 => Came::Settings(payload),
            6 if end => Came::Pong(String::from_utf8_lossy(&payload).into_owned()),
            7 => Came::Goaway { code: code(&payload[4..]) },
            kind => Came::Other(kind),
        })
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        let mut piece = [0; 4 * 1024];
        while self.received.len() < length {
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend(&piece[..count]),
            }
        }
        Ok(())
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Wire").field("story", &self.story).finish_non_exhaustive()
    }
}

/// Whether what came is what was expected; `None`: it may still come.
fn meets(came: &Came, words: &[&str]) -> Option<bool> {
    let is_one = |code: &str| words[1].split('|').any(|expected| expected == code);
    let of = |stream: u32| words[1] == stream.to_string();
    match (words[0], came) {
        ("head", Came::Head { stream, status, .. }) if of(*stream) => {
            Some(words.get(2).is_none_or(|expected| *expected == status.to_string()))
        }
        ("data", Came::Data { stream, length, .. }) if of(*stream) => Some(words[2] == length.to_string()),
        ("end", Came::Head { stream, end: true, .. } | Came::Data { stream, end: true, .. } | Came::Reset { stream, .. })
            if of(*stream) =>
        {
            Some(true)
        }
        ("pong", Came::Pong(text)) => (words[1] == text).then_some(true),
        ("ack", Came::Acknowledged) | ("closed" | "connection" | "stream", Came::Closed) => Some(true),
        ("goaway" | "connection" | "stream", Came::Goaway { code }) => Some(is_one(code)),
        ("stream", Came::Reset { code, .. }) => is_one(code).then_some(true),
        _ => None,
    }
}

fn handshake(socket: TcpStream, ca: &Path, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the authority's file") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = name.to_owned().try_into().expect("a name");
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |word, byte| word << 8 | u32::from(*byte)) & 0x7fff_ffff
}

fn code(payload: &[u8]) -> String {
    let number = word(payload);
    CODES.get(number as usize).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// The status in a block of ours: indexed, or a literal whose name is indexed (RFC 7541 Appendix A); 0 where none comes first.
fn status(block: &[u8]) -> u16 {
    let block = if block.first().is_some_and(|byte| byte >> 5 == 1) { &block[1..] } else { block };
    match block {
        [byte @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(byte - 0x88)],
        [0x08 | 0x18 | 0x48, 3, digits @ ..] => digits.iter().take(3).fold(0, |number, digit| number * 10 + u16::from(digit - b'0')),
        _ => 0,
    }
}
