//! A small blocking client of the admin API, for the command line.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde::de::DeserializeOwned;
use stats::View;

use crate::{ClusterView, ConfigView, ListenerView};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer: the statistics of 50 000 endpoints are under 100 MB.
const ANSWER_BYTES_MAX: u64 = 512 << 20;
/// Fields of an answer's head.
const FIELDS_MAX: usize = 32;

/// A process to ask: by its UNIX socket or its TCP port.
#[derive(Clone, Debug)]
pub enum Client {
    /// By its UNIX socket.
    Socket(PathBuf),
    /// By its TCP port.
    Port(SocketAddr),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The process cannot be reached.
    #[error("{to}: {error}; is sluice running, and may this user use its admin socket?")]
    Unreachable {
        /// What was tried.
        to: String,
        /// Why.
        error: io::Error,
    },
    /// What came back is no HTTP response.
    #[error("what came back is no answer: {0}")]
    Malformed(String),
    /// The process said no.
    #[error("{status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        text: String,
    },
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Client {
    /// All metrics.
    pub fn stats(&self) -> Result<View, ClientError> {
        self.read("/stats")
    }

    /// All clusters.
    pub fn clusters(&self) -> Result<Vec<ClusterView>, ClientError> {
        self.read("/clusters")
    }

    /// All listeners.
    pub fn listeners(&self) -> Result<Vec<ListenerView>, ClientError> {
        self.read("/listeners")
    }

    /// The configuration in force.
    pub fn config(&self) -> Result<ConfigView, ClientError> {
        self.read("/config")
    }

    /// Has the process finish what is under way and end.
    pub fn drain(&self) -> Result<String, ClientError> {
        text(&self.ask("POST", "/drain", b"")?)
    }

    /// Has the process read its configuration again.
    pub fn reload(&self) -> Result<String, ClientError> {
        text(&self.ask("POST", "/reload", b"")?)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let text = text(&self.ask("GET", path, b"")?)?;
        serde_json::from_str(&text).map_err(|error| ClientError::Malformed(error.to_string()))
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, ClientError> {
        let answer = self.exchange(method, path, body).map_err(|error| ClientError::Unreachable { to: self.to_string(), error })?;
        parse(&answer)
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut connection: Box<dyn Connection> = match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                Box::new(stream)
            }
            Self::Port(address) => {
                let stream = TcpStream::connect_timeout(address, ANSWER_TIME_MAX)?;
                stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
                Box::new(stream)
            }
        };
        let host = match self {
            Self::Socket(_) => "localhost".to_owned(),
            Self::Port(address) => address.to_string(),
        };
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        connection.write_all(body)?;
        let mut answer = Vec::new();
        connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl core::fmt::Display for Client {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Socket(path) => write!(out, "{}", path.display()),
            Self::Port(address) => write!(out, "{address}"),
        }
    }
}

/// The admin API always says Content-Length and closes when asked: what follows the head is the body.
fn parse(bytes: &[u8]) -> Result<Answer, ClientError> {
    let malformed = |why: &str| ClientError::Malformed(why.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Err(malformed("it ends within its head")),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let status = response.code.unwrap_or(0);
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| core::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let body = bytes[head..].to_vec();
    if length != Some(body.len()) {
        return Err(malformed("it ends within its body"));
    }
    Ok(Answer { status, body })
}

fn text(answer: &Answer) -> Result<String, ClientError> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if (200..300).contains(&answer.status) {
        Ok(text)
    } else {
        Err(ClientError::Refused { status: answer.status, text: text.trim_end().to_owned() })
    }
}
