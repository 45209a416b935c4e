//! HTTP/1.1 as the test's own hosts speak it: deliberately not the product's codec, so that the same mistake is not made on both sides.

use core::{future::poll_fn, task::Poll, time::Duration};
use std::rc::Rc;

use buf::Chunk;
use exchange::Transport;
use io::sim::Random;

use crate::plan::{Body, TRAILER, told};

/// A connection that is read line by line.
pub struct Wire {
    /// The connection.
    pub transport: Rc<Transport>,
    unread: Vec<u8>,
    /// Silence after which reading gives up.
    patience: Duration,
    /// Microseconds it rests before each reception.
    pub slowness: u64,
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing came for too long.
    Silent,
    /// What came is not HTTP.
    Malformed,
    /// The peer reset the stream, and the connection goes on.
    Reset,
}

/// A message's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// Names in lower case, values.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a field, all of them joined when it is repeated.
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The word at that place of the first line.
    pub fn word(&self, at: usize) -> &str {
        self.line.split(' ').nth(at).unwrap_or_default()
    }

    /// How its body is framed. `Body::Close` for what has neither length nor chunks.
    pub fn framing(&self) -> Option<Body> {
        match (self.field("transfer-encoding").as_deref(), self.field("content-length")) {
            (Some("chunked"), None) => Some(Body::Chunked(0)),
            (None, Some(length)) => length.parse().ok().map(Body::Known),
            (None, None) => Some(Body::Close(0)),
            (Some(_), _) => None,
        }
    }
}

impl Wire {
    /// Over a connection; reading gives up after `patience` of silence.
    pub fn new(transport: Transport, patience: Duration) -> Self {
        Self { transport: Rc::new(transport), unread: Vec::new(), patience, slowness: 0 }
    }

    /// More bytes.
    async fn fill(&mut self) -> Result<(), Ended> {
        let ring = self.transport.ring();
        if self.slowness > 0 {
            ring.sleep(Duration::from_micros(self.slowness)).await;
        }
        let timer = ring.timer();
        timer.set(ring.now() + self.patience);
        let received = poll_fn(|_| match self.transport.poll_receive() {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending => timer.poll_expired().map(|()| None),
        })
        .await;
        match received {
            Some(Ok(chunk)) if chunk.is_empty() => Err(Ended::Closed),
            Some(Ok(chunk)) => {
                self.unread.extend_from_slice(&chunk);
                Ok(())
            }
            Some(Err(_)) => Err(Ended::Broken),
            None => Err(Ended::Silent),
        }
    }

    /// Whether a byte of the next message is there or comes.
    pub async fn begins(&mut self) -> Result<(), Ended> {
        while self.unread.is_empty() {
            self.fill().await?;
        }
        Ok(())
    }

    /// What has come, once there is something.
    pub async fn some(&mut self) -> Result<Vec<u8>, Ended> {
        self.begins().await?;
        Ok(core::mem::take(&mut self.unread))
    }

    /// The next head.
    pub async fn head(&mut self) -> Result<Head, Ended> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.fill().await?;
        };
        let text: Vec<u8> = self.unread.drain(..end + 4).take(end).collect();
        let text = String::from_utf8(text).map_err(|_not_text| Ended::Malformed)?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let fields = lines.map(field).collect::<Option<_>>().ok_or(Ended::Malformed)?;
        Ok(Head { line, fields })
    }

    /// A body, appended to `into` as far as it comes, and its trailers as [`told`].
    pub async fn body(&mut self, framing: Body, into: &mut Vec<u8>) -> Result<(), Ended> {
        match framing {
            Body::None => Ok(()),
            Body::Known(length) => self.take(length, into).await,
            Body::Chunked(_) => self.chunks(into).await,
            Body::Close(_) => loop {
                into.append(&mut self.unread);
                match self.fill().await {
                    Ok(()) => {}
                    Err(Ended::Closed) => return Ok(()),
                    Err(ended) => return Err(ended),
                }
            },
        }
    }

    async fn take(&mut self, mut length: usize, into: &mut Vec<u8>) -> Result<(), Ended> {
        while length > 0 {
            if self.unread.is_empty() {
                self.fill().await?;
            }
            let count = length.min(self.unread.len());
            into.extend(self.unread.drain(..count));
            length -= count;
        }
        Ok(())
    }

    async fn chunks(&mut self, into: &mut Vec<u8>) -> Result<(), Ended> {
        loop {
            let line = self.line().await?;
            let length = usize::from_str_radix(&line, 16).map_err(|_not_a_size| Ended::Malformed)?;
            if length == 0 {
                return self.trailers(into).await;
            }
            self.take(length, into).await?;
            if !self.line().await?.is_empty() {
                return Err(Ended::Malformed);
            }
        }
    }

    async fn trailers(&mut self, into: &mut Vec<u8>) -> Result<(), Ended> {
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = line.split_once(": ").ok_or(Ended::Malformed)?;
            into.extend(told(&name.to_ascii_lowercase(), value));
        }
    }

    async fn line(&mut self) -> Result<String, Ended> {
        let end = loop {
            if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            self.fill().await?;
        };
        let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
        String::from_utf8(line).map_err(|_not_text| Ended::Malformed)
    }

    /// Reads the peer out.
    pub async fn read_out(&mut self) {
        while self.fill().await.is_ok() {}
    }

    /// Closes our half and reads the peer out: a close with unread bytes would reset the connection.
    pub async fn linger(&mut self) {
        self.transport.finish();
        self.read_out().await;
    }

    /// What was received and not read.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }
}

/// Writes bytes, waiting for room, in random pieces with a rest between some of them.
pub async fn write_slowly(transport: &Transport, mut bytes: &[u8], random: &mut Random, rest: &[u64]) -> Result<(), io::Errno> {
    while !bytes.is_empty() {
        let (piece, left) = bytes.split_at((1 + random.below(8_000)).min(bytes.len()));
        bytes = left;
        transport.write(|output| output.push(Chunk::copy_of(piece)));
        transport.room().await?;
        let rest = random.pick(rest);
        if rest > 0 {
            transport.ring().sleep(Duration::from_micros(rest)).await;
        }
    }
    Ok(())
}

/// A body in its framing; chunks of random sizes, and what the trailers behind them say.
pub fn framed(body: &[u8], framing: Body, trailer: Option<&String>, random: &mut Random) -> Vec<u8> {
    let Body::Chunked(_) = framing else { return body.to_vec() };
    let mut wire = Vec::new();
    let mut left = body;
    while !left.is_empty() {
        let (chunk, rest) = left.split_at((1 + random.below(2_000)).min(left.len()));
        left = rest;
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    let trailer = trailer.map(|value| format!("{TRAILER}: {value}\r\n")).unwrap_or_default();
    wire.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
    wire
}

/// The field that announces a body.
pub fn announced(framing: Body) -> String {
    match framing {
        Body::None | Body::Close(_) => String::new(),
        Body::Known(length) => format!("content-length: {length}\r\n"),
        Body::Chunked(_) => "transfer-encoding: chunked\r\n".to_owned(),
    }
}
