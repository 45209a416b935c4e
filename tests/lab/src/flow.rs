//! What clients do. Everything here runs in the client's namespace.
#![expect(clippy::disallowed_methods, reason = "clients live in real time")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{pattern, pause};
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use tempfile::TempDir;

use crate::vip::Vip;

/// How long a packet may take from anywhere to anywhere and back, retransmissions included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sockets know no shorter wait.
const SHORTEST: Duration = Duration::from_millis(1);

/// An established connection, over which every byte comes back.
pub struct Flow {
    stream: TcpStream,
    sent: u32,
    heard: u32,
}

impl Flow {
    /// Opens one.
    pub fn open(vip: Vip) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&vip.at(7), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: 0, heard: 0 })
    }

    /// Sends something and gets it back; an error is a broken connection.
    pub fn use_it(&mut self) -> io::Result<()> {
        self.send()?;
        self.hear()
    }

    fn send(&mut self) -> io::Result<()> {
        self.sent += 1;
        self.stream.write_all(&self.sent.to_be_bytes())
    }

    /// Everything that is still to come back, what somebody did not wait for any more too.
    fn hear(&mut self) -> io::Result<()> {
        while self.heard < self.sent {
            let mut back = [0; 4];
            self.stream.read_exact(&mut back)?;
            self.heard += 1;
            let word = self.heard.to_be_bytes();
            if back != word {
                return Err(io::Error::other(format!("{back:?} came back for {word:?}")));
            }
        }
        Ok(())
    }
}

/// Many of them.
#[derive(Default)]
pub struct Flows {
    flows: Vec<(Vip, Flow)>,
}

impl Flows {
    /// Opens so many more, over these VIPs in turn, and uses each once.
    #[track_caller]
    pub fn open(&mut self, vips: &[Vip], count: usize) {
        for vip in vips.iter().cycle().take(count) {
            let mut flow = Flow::open(*vip).unwrap_or_else(|error| panic!("no connection to {vip}: {error}"));
            flow.use_it().unwrap_or_else(|error| panic!("a new connection to {vip}: {error}"));
            self.flows.push((*vip, flow));
        }
    }

    /// Uses each; which are broken.
    pub fn broken(&mut self) -> Vec<String> {
        self.flows.iter_mut().filter_map(|(vip, flow)| Some(format!("{vip}: {}", flow.use_it().err()?))).collect()
    }

    /// Uses all of them at the same time, and waits no longer than `patience` for all answers; how many are broken. For many that are.
    pub fn broken_of_all(&mut self, patience: Duration) -> usize {
        let end = Instant::now() + patience;
        let sent: Vec<bool> = self.flows.iter_mut().map(|(_, flow)| flow.send().is_ok()).collect();
        let hear = |flow: &mut Flow| {
            flow.stream.set_read_timeout(Some(end.saturating_duration_since(Instant::now()).max(SHORTEST)))?;
            flow.hear()
        };
        self.flows.iter_mut().zip(sent).filter_map(|((_, flow), is_sent)| (!is_sent || hear(flow).is_err()).then_some(())).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

/// What curl gets.
pub fn fetch(url: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--globoff", "--fail", "--max-time", "60", "--connect-timeout", "10"]);
    let output = command.args(arguments).arg(url).stdin(Stdio::null()).output().map_err(|error| format!("curl: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// `bytes` bytes down, and `bytes` up and down again, each byte as it must be.
pub fn download(vip: Vip, bytes: usize) -> Result<(), String> {
    let expected = pattern(bytes);
    let folder = TempDir::with_prefix("sluice-lab-").map_err(|error| error.to_string())?;
    let (file, back) = (folder.path().join("up"), folder.path().join("back"));
    fs::write(&file, &expected).map_err(|error| error.to_string())?;
    let back_text = back.display().to_string();
    fetch(&vip.url(&format!("/bytes/{bytes}")), &["--output", &back_text])?;
    same("down", &fs::read(&back).map_err(|error| error.to_string())?, &expected)?;
    fetch(&vip.url("/echo"), &["--output", &back_text, "--data-binary", &format!("@{}", file.display())])?;
    same("up and down", &fs::read(&back).map_err(|error| error.to_string())?, &expected)
}

fn same(what: &str, got: &[u8], expected: &[u8]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(got, expected)| got != expected).unwrap_or_else(|| got.len().min(expected.len()));
    Err(format!("{what}: {} bytes of {}, wrong from {at} on", got.len(), expected.len()))
}

/// `bytes` bytes down, over so long as it takes at 16 kB each `pace`, each as it must be.
pub fn slow_download(vip: Vip, bytes: usize, pace: Duration) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&vip.at(80), PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    // A small window, so that the origin is under way for as long as we are.
    setsockopt(&stream, RcvBuf, &16_384).map_err(|error| error.to_string())?;
    write!(stream, "GET /bytes/{bytes} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n").map_err(text)?;
    let mut all = Vec::with_capacity(bytes + 1_024);
    let mut buffer = vec![0; 16_384];
    loop {
        match stream.read(&mut buffer).map_err(|error| format!("after {} bytes: {error}", all.len()))? {
            0 => break,
            length => all.extend_from_slice(&buffer[..length]),
        }
        pause(pace);
    }
    let head = all.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no head came")?;
    same("down", &all[head + 4..], &pattern(bytes))
}

/// Asks by a datagram of so many bytes from a new port; who answered.
pub fn udp(vip: Vip, bytes: usize) -> Result<String, String> {
    let any = if vip.address().is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let text = |error: io::Error| error.to_string();
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).map_err(text)?;
    socket.connect(vip.at(53)).map_err(text)?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(text)?;
    let question = pattern(bytes);
    let mut buffer = vec![0; bytes + 16];
    // A datagram may be lost, on a real network and while a neighbour is asked for.
    for _ in 0..3 {
        socket.send(&question).map_err(text)?;
        if let Ok(length) = socket.recv(&mut buffer) {
            let (name, rest) = buffer[..length].split_at(3.min(length));
            same("a datagram", rest, &question)?;
            return Ok(String::from_utf8_lossy(&name[..2.min(name.len())]).into_owned());
        }
    }
    Err("no answer to three datagrams".to_owned())
}
