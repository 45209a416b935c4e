//! An HTTP/1 client that sends what it is told, byte for byte, and reads strictly.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
};

use crate::PATIENCE;

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status line, without line end.
    pub start: String,
    /// Its fields in their order and case.
    pub fields: Vec<(String, String)>,
    /// Its content.
    pub body: Vec<u8>,
    /// Its trailer fields, `name: value`.
    pub trailers: Vec<String>,
}

impl Response {
    /// The status.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status line: {:?}", self.start))
    }

    /// The first field of that name (written in lower case).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `x-sluice-reason` field; empty when there is none.
    pub fn reason(&self) -> &str {
        self.field("x-sluice-reason").unwrap_or("")
    }
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, if it can.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// A second hand on the same connection, for a thread that only sends.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self { stream: BufReader::new(self.socket().try_clone().expect("a socket can be shared")) }
    }

    /// The socket; what was read ahead stays here.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes bytes");
    }

    /// Sends bytes; the other side may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Ends its own half.
    pub fn finish(&self) {
        // The other side may have closed first.
        drop(self.socket().shutdown(Shutdown::Write));
    }

    /// Reads a response to anything but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response().expect("a whole response")
    }

    /// Reads a response, unless the connection breaks or ends within it.
    pub fn try_response(&mut self) -> io::Result<Response> {
        read_message(&mut self.stream, false)
    }

    /// Reads a response to HEAD.
    #[track_caller]
    pub fn head_response(&mut self) -> Response {
        read_message(&mut self.stream, true).expect("a whole response head")
    }

    /// Asks for a path of host `test` and reads the response.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Asks for a path of host `test`.
    pub fn try_get(&mut self, path: &str) -> io::Result<Response> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))?;
        self.try_response()
    }

    /// Asks for a path of another host and reads the response.
    #[track_caller]
    pub fn get_of(&mut self, host: &str, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        self.response()
    }

    /// Reads one chunk of a chunked body; the last one is empty.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        chunk(&mut self.stream).expect("a whole chunk")
    }

    /// Reads to the end; an error when the connection is broken instead of closed.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Whether the other side has ended the connection (waited for), whichever way, and sent nothing before.
    pub fn is_closed(&mut self) -> bool {
        match self.rest() {
            Ok(rest) => rest.is_empty(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// Whether the other side leaves the connection open and silent, as far as `time` tells.
    pub fn is_open_for(&mut self, time: Duration) -> bool {
        self.socket().set_read_timeout(Some(time)).expect("a timeout that is not zero");
        let looked = self.stream.fill_buf().map(<[u8]>::len);
        self.socket().set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
        looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Reads a response as RFC 9112 §6.3 frames it; `bodiless` is a response to HEAD.
pub fn read_message(stream: &mut impl BufRead, bodiless: bool) -> io::Result<Response> {
    let start = line(stream)?;
    let mut fields = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut response = Response { start, fields, body: Vec::new(), trailers: Vec::new() };
    let status = response.start.split(' ').nth(1).unwrap_or("");
    if bodiless || status.starts_with('1') || matches!(status, "204" | "304") {
        return Ok(response);
    }
    if response.field("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        chunks(stream, &mut response)?;
    } else if let Some(length) = response.field("content-length") {
        let length: usize = length.parse().map_err(|_not| malformed(length))?;
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

fn chunks(stream: &mut impl BufRead, response: &mut Response) -> io::Result<()> {
    loop {
        let data = chunk(stream)?;
        if data.is_empty() {
            break;
        }
        response.body.extend(data);
    }
    loop {
        let trailer = line(stream)?;
        if trailer.is_empty() {
            return Ok(());
        }
        response.trailers.push(trailer);
    }
}

/// A chunk's data; what follows the last one, which is empty, is left.
fn chunk(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let size = line(stream)?;
    let mut data = vec![0; usize::from_str_radix(&size, 16).map_err(|_not| malformed(&size))?];
    if data.is_empty() {
        return Ok(data);
    }
    stream.read_exact(&mut data)?;
    let end = line(stream)?;
    if end.is_empty() { Ok(data) } else { Err(malformed(&end)) }
}

/// A line, without its CRLF, which must be there.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(malformed(&line)),
    }
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {text:?}"))
}
