//! The origin behind every proxy: one thread, epoll, answers prepared beforehand.
//!
//! It must never be the bottleneck, so it knows two paths (`/` is 1 KiB, `/1m` is 1 MiB), no bodies of requests, and
//! does one receive and one send for a small answer. It keeps connections open unless asked to close.

use crate::interrupt;
use anyhow::{Context, Result};
use core::net::{Ipv4Addr, SocketAddr};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, sockopt};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::thread;

const BACKLOG: i32 = 4096;
const EVENTS_MAX: usize = 512;
const RECEIVE_BYTES: usize = 16 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// How often a thread without traffic looks whether the program ends.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Events of connection `n` carry `n + LISTENERS`.
const LISTENERS: usize = 2;

/// Start the origin's thread. Two addresses, so that a cluster's endpoints can be changed.
pub(crate) fn start() -> Result<[SocketAddr; LISTENERS]> {
    let listeners = [listen()?, listen()?];
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); LISTENERS];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr().context("the origin's socket has no address")?;
    }
    let mut origin = Origin::new(listeners)?;
    thread::Builder::new().name("origin".to_owned()).spawn(move || origin.run()).context("cannot start the origin")?;
    Ok(addresses)
}

fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the origin cannot bind")?;
    rustix::net::listen(&listener, BACKLOG).context("the origin cannot listen")?;
    listener.set_nonblocking(true).context("the origin's socket must not block")?;
    Ok(listener)
}

struct Origin {
    epoll: OwnedFd,
    listeners: [TcpListener; LISTENERS],
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    answers: Answers,
    buffer: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    /// Bytes of the request's head that came without its end.
    head: Vec<u8>,
    /// What is left to send of the answer.
    answer: &'static [u8],
    last: bool,
}

#[derive(Clone, Copy)]
struct Answers {
    small: &'static [u8],
    large: &'static [u8],
}

impl Origin {
    fn new(listeners: [TcpListener; LISTENERS]) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
        for (number, listener) in listeners.iter().enumerate() {
            watch(&epoll, listener, number)?;
        }
        let answers = Answers { small: answer(1 << 10), large: answer(1 << 20) };
        Ok(Self { epoll, listeners, connections: Vec::new(), vacant: Vec::new(), answers, buffer: vec![0; RECEIVE_BYTES] })
    }

    fn run(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        while interrupt::check().is_ok() {
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&LOOK)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("the origin cannot wait"),
            }
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64()).expect("only our own numbers are registered");
                match number.checked_sub(LISTENERS) {
                    None => self.accept(number)?,
                    Some(connection) => self.serve(connection),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Result<()> {
        // Whoever gave up before we came, or found no descriptor left, comes again.
        while let Ok(socket) = rustix::net::accept_with(&self.listeners[listener], SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            sockopt::set_tcp_nodelay(&socket, true).context("no TCP_NODELAY")?;
            let place = self.vacant.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            watch(&self.epoll, &socket, place + LISTENERS)?;
            self.connections[place] = Some(Connection { socket, head: Vec::new(), answer: &[], last: false });
        }
        Ok(())
    }

    fn serve(&mut self, place: usize) {
        let Some(connection) = self.connections[place].as_mut() else { return };
        if connection.turn(&mut self.buffer, self.answers, (&self.epoll, place)).is_none() {
            self.connections[place] = None;
            self.vacant.push(place);
        }
    }
}

impl Connection {
    /// Receive and send once; `None` when the connection is over.
    fn turn(&mut self, buffer: &mut [u8], answers: Answers, watcher: (&OwnedFd, usize)) -> Option<()> {
        if !self.answer.is_empty() {
            self.send()?;
            if !self.answer.is_empty() {
                return Some(());
            }
            interest(watcher, &self.socket, epoll::EventFlags::IN)?;
            return (!self.last).then_some(());
        }
        let received = match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return None,
            Ok((count, _)) => &buffer[..count],
            Err(Errno::AGAIN) => return Some(()),
            Err(_) => return None,
        };
        self.hear(received, answers)?;
        if !self.answer.is_empty() {
            return interest(watcher, &self.socket, epoll::EventFlags::OUT);
        }
        (!self.last).then_some(())
    }

    fn hear(&mut self, received: &[u8], answers: Answers) -> Option<()> {
        if self.head.is_empty() && received.ends_with(HEAD_END) {
            return self.reply(received, answers);
        }
        self.head.extend_from_slice(received);
        if !self.head.ends_with(HEAD_END) {
            return Some(());
        }
        let head = core::mem::take(&mut self.head);
        self.reply(&head, answers)
    }

    fn reply(&mut self, head: &[u8], answers: Answers) -> Option<()> {
        self.answer = if head.starts_with(b"GET /1m") { answers.large } else { answers.small };
        self.last = asks_to_close(head);
        self.send()
    }

    fn send(&mut self) -> Option<()> {
        match rustix::net::send(&self.socket, self.answer, SendFlags::NOSIGNAL) {
            Ok(count) => self.answer = &self.answer[count..],
            Err(Errno::AGAIN) => {}
            Err(_) => return None,
        }
        Some(())
    }
}

fn asks_to_close(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end().eq_ignore_ascii_case(b"connection: close"))
}

fn watch(epoll: &OwnedFd, socket: impl rustix::fd::AsFd, number: usize) -> Result<()> {
    let number = epoll::EventData::new_u64(number as u64);
    epoll::add(epoll, socket, number, epoll::EventFlags::IN).context("cannot watch a socket")
}

fn interest((epoll, place): (&OwnedFd, usize), socket: &OwnedFd, flags: epoll::EventFlags) -> Option<()> {
    epoll::modify(epoll, socket, epoll::EventData::new_u64((place + LISTENERS) as u64), flags).ok()
}

/// An answer of `bytes` of body, as an ordinary server would head it; made once and kept for good.
fn answer(bytes: usize) -> &'static [u8] {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    answer.leak()
}

#[cfg(test)]
mod tests {
    use super::{answer, asks_to_close};

    #[test]
    fn closing_is_asked_for_by_a_header() {
        assert!(asks_to_close(b"GET / HTTP/1.1\r\nHost: a\r\nconnection: Close\r\n\r\n"));
        assert!(!asks_to_close(b"GET /?connection: close HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    #[test]
    fn answers_have_their_length() {
        let head_end = |answer: &[u8]| answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let small = answer(1024);
        assert_eq!(small.len() - head_end(small), 1024);
        assert!(small.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
