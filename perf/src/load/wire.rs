//! A connection's bytes, in the clear or through TLS.

use anyhow::{Context, Result};
use core::net::SocketAddr;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

pub(super) struct Wire {
    pub(super) socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
    /// What the kernel did not take yet: nothing, mostly.
    unsent: Vec<u8>,
    /// The loop waits until the kernel takes more.
    pub(super) watches_room: bool,
}

/// What receiving came to.
pub(super) enum Received {
    /// So many, in the buffer.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The proxy closed.
    End,
    Broken,
}

/// How a write went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// Wait until the kernel takes more, and flush.
    Some,
    Broken,
}

impl Wire {
    /// A connection that is under way; `None` when the target refuses at once.
    pub(super) fn connect(target: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Option<Self>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).context("no socket left")?;
        sockopt::set_tcp_nodelay(&socket, true).context("no TCP_NODELAY")?;
        if !matches!(rustix::net::connect(&socket, &target), Ok(()) | Err(Errno::INPROGRESS)) {
            return Ok(None);
        }
        let tls = tls.map(|config| {
            let name = ServerName::try_from("bench.example.com").expect("a good name");
            ClientConnection::new(Arc::clone(config), name).map(Box::new).context("no TLS session")
        });
        Ok(Some(Self { socket, tls: tls.transpose()?, unsent: Vec::new(), watches_room: false }))
    }

    /// Whether it went on from another connection's ticket; `None` while that is not decided, or in the clear.
    pub(super) fn resumed(&self) -> Option<bool> {
        Some(self.tls.as_ref()?.handshake_kind()? == HandshakeKind::Resumed)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<Sent> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes).context("a request does not fit into TLS")?,
            None if self.unsent.is_empty() => return Ok(self.send_now(bytes)),
            None => self.unsent.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<Sent> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.unsent).context("a Vec takes all")?;
            }
        }
        let unsent = core::mem::take(&mut self.unsent);
        Ok(if unsent.is_empty() { Sent::All } else { self.send_now(&unsent) })
    }

    fn send_now(&mut self, bytes: &[u8]) -> Sent {
        let count = match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Sent::Broken,
        };
        self.unsent.extend_from_slice(&bytes[count..]);
        if self.unsent.is_empty() { Sent::All } else { Sent::Some }
    }

    /// Receives once into `buffers`; what is said to us stands in the first then.
    pub(super) fn receive(&mut self, buffers: &mut Buffers) -> Result<Received> {
        let Buffers { plain, sealed } = buffers;
        let into = if self.tls.is_some() { &mut *sealed } else { &mut *plain };
        let count = match rustix::net::recv(&self.socket, &mut into[..RECEIVE_BYTES], RecvFlags::empty()) {
            Ok((0, _)) => return Ok(Received::End),
            Ok((count, _)) => count,
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(_) => return Ok(Received::Broken),
        };
        let Some(tls) = &mut self.tls else { return Ok(Received::Bytes(count)) };
        let Some(opened) = open(tls, &sealed[..count], plain) else { return Ok(Received::Broken) };
        if self.flush()? == Sent::Broken {
            return Ok(Received::Broken);
        }
        Ok(if opened > 0 { Received::Bytes(opened) } else { Received::Nothing })
    }
}

/// What one connection after the other is received into.
pub(super) struct Buffers {
    pub(super) plain: Vec<u8>,
    sealed: Vec<u8>,
}

/// Several MiB are in flight with large bodies; a receive should not be what costs.
const RECEIVE_BYTES: usize = 256 << 10;
/// What an earlier receive may have left of a record.
const RECORD_BYTES_MAX: usize = 17 << 10;

impl Buffers {
    pub(super) fn new() -> Self {
        Self { plain: vec![0; RECEIVE_BYTES + RECORD_BYTES_MAX], sealed: vec![0; RECEIVE_BYTES] }
    }
}

/// Bytes opened into `plain`; `None` when the peer does not keep to TLS.
fn open(tls: &mut ClientConnection, mut sealed: &[u8], plain: &mut [u8]) -> Option<usize> {
    let mut count = 0;
    while !sealed.is_empty() {
        tls.read_tls(&mut sealed).ok()?;
        tls.process_new_packets().ok()?;
        while let Ok(more) = tls.reader().read(&mut plain[count..])
            && more > 0
        {
            count += more;
        }
    }
    Some(count)
}
