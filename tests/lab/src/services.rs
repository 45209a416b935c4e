//! What origins serve: HTTP at port 80 and every datagram back at UDP port 53 with their name in front (the first three of them, whom everything is
//! tried with), every byte back at port 7 (all), and at port 81 whether it is well (all).
#![expect(clippy::disallowed_types, reason = "threads here share what an origin says of itself")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use e2e::sluice_command;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::namespace::Namespace;
use crate::vip::{Family, VIPS};

/// How many of them serve HTTP and datagrams.
const WITH_EVERYTHING: usize = 3;

/// Processes that end when this is dropped.
#[derive(Default)]
pub(crate) struct Services {
    processes: Vec<Child>,
    pub(crate) wells: Vec<Arc<Mutex<Well>>>,
}

/// What an origin says of itself, and to whom.
#[derive(Default)]
pub(crate) struct Well {
    pub(crate) is_ill: bool,
    /// Who it was asked for, since they were forgotten last.
    pub(crate) hosts: BTreeSet<String>,
}

impl Services {
    /// Starts all of them.
    pub(crate) fn start(origins: &[Namespace], own: impl Fn(usize, Family) -> IpAddr) -> Self {
        let (mut processes, mut wells) = (Vec::new(), Vec::new());
        for (origin, namespace) in origins.iter().enumerate() {
            // Of both families.
            let listener = namespace.inside(|| TcpListener::bind("[::]:7")).expect("nobody else is there");
            thread::spawn(move || echo(&listener));
            let listener = namespace.inside(|| TcpListener::bind("[::]:81")).expect("nobody else is there");
            let well = Arc::new(Mutex::new(Well::default()));
            wells.push(Arc::clone(&well));
            thread::spawn(move || tell(&listener, &well));
            if origin >= WITH_EVERYTHING {
                continue;
            }
            for bind in ["0.0.0.0:80", "[::]:80"] {
                let mut command = sluice_command();
                command.args(["origin", "--bind", bind, "--name", &format!("o{origin}")]).stdin(Stdio::null()).stdout(Stdio::null());
                processes.push(namespace.inside(|| command.spawn()).expect("sluice can be run"));
            }
            let vips = VIPS.iter().filter(|vip| vip.is_dsr()).map(|vip| vip.address());
            for address in vips.chain([own(origin, Family::V4), own(origin, Family::V6)]) {
                let socket = namespace.inside(|| UdpSocket::bind((address, 53))).expect("its own address");
                thread::spawn(move || answer(&socket, origin));
            }
        }
        Self { processes, wells }
    }
}

/// Every byte back, on any number of connections.
fn echo(listener: &TcpListener) {
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut buffer = [0; 4096];
    listener.set_nonblocking(true).expect("it is a socket");
    loop {
        let waiting = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut all: Vec<PollFd<'_>> =
            core::iter::once(waiting(listener.as_fd())).chain(streams.iter().map(|one| waiting(one.as_fd()))).collect();
        poll(&mut all, PollTimeout::NONE).expect("they are open");
        let is_ready: Vec<bool> = all.iter().map(|one| one.any().unwrap_or(true)).collect();
        let mut ready = is_ready[1..].iter();
        streams.retain_mut(|stream| {
            !ready.next().copied().unwrap_or(false)
                || stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0 && stream.write_all(&buffer[..bytes]).is_ok())
        });
        if is_ready[0]
            && let Ok((stream, _)) = listener.accept()
        {
            streams.push(stream);
        }
    }
}

/// Whether it is well, to one after another.
fn tell(listener: &TcpListener, well: &Mutex<Well>) {
    for mut stream in listener.incoming().flatten() {
        let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let head: Vec<String> = lines.collect();
        let mut well = well.lock().unwrap_or_else(PoisonError::into_inner);
        well.hosts.extend(head.iter().filter_map(|line| Some(line.to_lowercase().strip_prefix("host: ")?.to_owned())));
        let status = if well.is_ill { "503 Service Unavailable" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\nx-more: {}\r\ncontent-length: 0\r\n\r\n", "than a packet has room for, ".repeat(200));
        let _told = stream.write_all(head.as_bytes());
    }
}

/// From the address that was asked: a socket of its own for each.
fn answer(socket: &UdpSocket, origin: usize) {
    let mut buffer = [0; 2048];
    while let Ok((bytes, client)) = socket.recv_from(&mut buffer) {
        let mut answer = format!("o{origin}:").into_bytes();
        answer.extend_from_slice(&buffer[..bytes]);
        let _sent = socket.send_to(&answer, client);
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}
