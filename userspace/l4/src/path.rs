//! Probes along the way that clients' packets take: made ready by the kernel program `probe`, sent by us, answered through the balancer.
//!
//! No route of this machine leads a probe, no socket of it waits: a VIP may be this machine's own address, or one that it has no way to. The
//! SYN of a connection that never comes to be is answered by the origin's stack as any other, which knows whether somebody listens and has
//! room; the reset that follows frees it. Whoever listens does not notice. Connections that come to be are those of [`crate::streams`].

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::{string::String, vec, vec::Vec};

use abi::{FlowKey, PROBE_ACCEPTED, PROBE_NO_WAY, PROBE_REFUSED, PROBE_WAITING, Reason};
use aya::TestRun as _;
use aya::maps::{MapData, MapError, RingBuf};
use aya::programs::{TestRunOptions, Xdp};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};

use crate::frame::{Message, Way, around, frame};
use crate::load::{Balancer, LoadError};
use crate::maps::removed;
use crate::programs;

/// The map that has what came over connections.
const ANSWERS: &str = "ANSWERS";

/// A frame with its envelopes.
const FRAME_BYTES_MAX: usize = 1536;

/// Where probes leave from.
pub(crate) struct Path {
    socket: OwnedFd,
    /// The interface that they are taken to have come in by.
    interface: u32,
    /// All interfaces, as sockets know them; read anew when one is missing.
    links: Vec<LinkAddr>,
    /// What came over connections.
    answers: RingBuf<MapData>,
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing yet.
    Waiting,
    /// The origin accepts.
    Accepted,
    /// It refuses.
    Refused,
}

/// Why a probe could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWay {
    /// The program says why.
    #[error("{}", .0.text())]
    Reason(Reason),
    /// The kernel does not run the program.
    #[error("the kernel does not run the program of probes: {0}")]
    Kernel(String),
    /// A map.
    #[error("a map: {0}")]
    Map(#[from] MapError),
    /// The socket.
    #[error("the packet cannot be sent: {0}")]
    Send(io::Error),
}

impl Path {
    /// Takes `CAP_NET_RAW`; what follows does not.
    pub(crate) fn open(balancer: &mut Balancer) -> Result<Self, LoadError> {
        // Without a protocol it receives nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None);
        let socket = socket.map_err(|error| LoadError::Socket(error.into()))?;
        let answers = RingBuf::try_from(balancer.take_map(ANSWERS)?)?;
        Ok(Self { socket, interface: 0, links: Vec::new(), answers })
    }

    /// Probes come in by this interface from now on.
    pub(crate) fn set_interface(&mut self, interface: u32) {
        self.interface = interface;
    }

    /// Sends what waits for an answer.
    pub(crate) fn ask(&mut self, balancer: &mut Balancer, way: Way, message: Message) -> Result<(), NoWay> {
        let (Message::Syn { token, .. } | Message::Reset { token, .. } | Message::Echo { token }) = message;
        balancer.hash("PROBES")?.insert(token, PROBE_WAITING, 0)?;
        let sent = self.send(balancer, way, message);
        if sent.is_err() {
            forget(balancer, token)?;
        }
        sent
    }

    /// Sends what nobody answers.
    pub(crate) fn send(&mut self, balancer: &mut Balancer, way: Way, message: Message) -> Result<(), NoWay> {
        self.dispatch(balancer, &frame(way, message))
    }

    /// Sends a packet of a connection.
    pub(crate) fn put(&mut self, balancer: &mut Balancer, way: Way, packet: &[u8]) -> Result<(), NoWay> {
        self.dispatch(balancer, &around(way, packet))
    }

    /// Packets that came over connections.
    pub(crate) fn came(&mut self) -> Vec<Vec<u8>> {
        let mut came = Vec::new();
        while let Some(entry) = self.answers.next() {
            let Some((length, packet)) = entry.split_first_chunk() else { continue };
            let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
            came.extend(packet.get(..length).map(<[u8]>::to_vec));
        }
        came
    }

    fn dispatch(&mut self, balancer: &mut Balancer, frame: &[u8]) -> Result<(), NoWay> {
        let (interface, frame) = self.enclose(balancer, frame)?;
        let link = self.link(interface).ok_or_else(|| NoWay::Send(io::ErrorKind::NotFound.into()))?;
        sendto(self.socket.as_raw_fd(), &frame, &link, MsgFlags::empty()).map_err(|error| NoWay::Send(error.into()))?;
        Ok(())
    }

    /// The frame as it is to leave, and by which interface.
    fn enclose(&self, balancer: &mut Balancer, frame: &[u8]) -> Result<(u32, Vec<u8>), NoWay> {
        let refused = |error: &dyn core::fmt::Display| NoWay::Kernel(error.to_string());
        let program: &Xdp = balancer.program_of(programs::PROBE).map_err(|error| refused(&error))?;
        let mut out = vec![0_u8; FRAME_BYTES_MAX];
        let context = context(frame.len(), self.interface);
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        let result = program.test_run(options).map_err(|error| refused(&error))?;
        let bytes = result.data_size_out as usize;
        let answer = result.return_value;
        if answer & PROBE_NO_WAY != 0 {
            let number = (answer & !PROBE_NO_WAY) as usize;
            return Err(NoWay::Reason(Reason::ALL.get(number).copied().unwrap_or(Reason::Broken)));
        }
        out.truncate(bytes);
        Ok((answer, out))
    }

    fn link(&mut self, interface: u32) -> Option<LinkAddr> {
        let find = |links: &[LinkAddr]| links.iter().copied().find(|link| u32::try_from(link.ifindex()) == Ok(interface));
        find(&self.links).or_else(|| {
            let all = getifaddrs().ok()?;
            self.links = all.filter_map(|one| one.address?.as_link_addr().copied()).collect();
            find(&self.links)
        })
    }
}

/// What came back.
pub(crate) fn answer(balancer: &mut Balancer, token: u32) -> Result<Answer, MapError> {
    let probes = balancer.hash::<u32, u32>("PROBES")?;
    Ok(match probes.get(&token, 0)? {
        PROBE_ACCEPTED => Answer::Accepted,
        PROBE_REFUSED => Answer::Refused,
        _ => Answer::Waiting,
    })
}

/// Packets of this flow are given up, of a connection that begins with this number of ours.
pub(crate) fn await_stream(balancer: &mut Balancer, flow: &FlowKey, first: u32) -> Result<(), MapError> {
    balancer.hash::<FlowKey, u32>("PROBE_STREAMS")?.insert(flow, first, 0)
}

/// They are not any more.
pub(crate) fn forget_stream(balancer: &mut Balancer, flow: &FlowKey) -> Result<(), MapError> {
    removed(balancer.hash::<FlowKey, u32>("PROBE_STREAMS")?.remove(flow))
}

/// Nobody waits any more.
pub(crate) fn forget(balancer: &mut Balancer, token: u32) -> Result<(), MapError> {
    balancer.hash::<u32, u32>("PROBES")?.remove(&token)
}

/// `struct xdp_md` for a frame of so many bytes that came in by an interface.
pub(crate) fn context(bytes: usize, interface: u32) -> [u8; 24] {
    let mut context = [0; 24];
    // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
    context[4..8].copy_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes());
    context[12..16].copy_from_slice(&interface.to_ne_bytes());
    context
}
