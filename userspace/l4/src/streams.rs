//! Connections along the way that clients' packets take, for questions that need more than a first answer.
//!
//! Their TCP is here and not the kernel's. A VIP may be this machine's own address: then no route would lead a packet of the kernel's out, and it
//! would take none that comes from there; and what it sends is on its way before an egress program could know that its next hop is another. So
//! packets are made here, put on their way as the probes of one packet are, and what comes back is given up by the balancer's program. Whoever asks
//! has one end of a pair of sockets, as if it were the connection.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher as _;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::hash::RandomState;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use abi::{FlowKey, PROBE_ANSWER_BYTES, PROBE_STREAM_PORT_FIRST, PROBE_STREAM_PORTS, protocols};
use aya::maps::MapError;
use hashbrown::HashMap;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket};

use crate::frame::Way;
use crate::load::Balancer;
use crate::path::{self, Path};

/// How soon it is looked for packets while any connection is open.
pub(crate) const STREAM_LOOK: Duration = Duration::from_millis(2);

/// What every way carries, envelopes and all (RFC 8200, 5).
const MTU: usize = 1280;
/// What an origin may have under way: with the longest headers no more than a packet that is given up.
const WINDOW_BYTES: usize = PROBE_ANSWER_BYTES - 40 - 60;
/// What waits to be sent.
const UNSENT_BYTES: usize = 4096;

/// A connection by its ends: the VIP's address and port, and our port.
pub(crate) type Ends = (SocketAddr, u16);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has answered.
    Opening,
    /// The origin accepted, whatever became of it since.
    Open,
    /// It refused.
    Refused,
    /// Nothing can be sent to it.
    NoWay,
}

/// All of them.
pub(crate) struct Streams {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    open: HashMap<Ends, Stream>,
    next_port: u16,
}

struct Stream {
    way: Way,
    handle: SocketHandle,
    state: State,
    /// Our end of the pair whose other end somebody has.
    pair: Option<UnixStream>,
    is_over: bool,
}

/// What would be an interface: packets that came, and that are to go.
#[derive(Default)]
struct Wire {
    came: VecDeque<Vec<u8>>,
    to_go: VecDeque<Vec<u8>>,
}

struct Came(Vec<u8>);
struct ToGo<'a>(&'a mut VecDeque<Vec<u8>>);

impl Streams {
    pub(crate) fn new() -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        // Nobody outside may know the numbers that connections begin with.
        config.random_seed = RandomState::new().hash_one(0);
        let mut wire = Wire::default();
        let interface = Interface::new(config, &mut wire, Instant::ZERO);
        Self { interface, wire, sockets: SocketSet::new(Vec::new()), open: HashMap::new(), next_port: 0 }
    }

    /// Connections leave from these addresses.
    pub(crate) fn set_sources(&mut self, sources: &[Option<IpAddr>; 2]) {
        let cidrs = sources.iter().flatten().map(|source| IpCidr::new((*source).into(), if source.is_ipv4() { 32 } else { 128 }));
        // What nobody can be sent an answer to is no source.
        let cidrs = cidrs.filter(|cidr| cidr.address().is_unicast());
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for one of each family.
            addresses.extend(cidrs);
        });
        for source in sources.iter().flatten() {
            // Where a packet goes is not decided here: any next hop will do.
            let _routed = match source {
                IpAddr::V4(any) => self.interface.routes_mut().add_default_ipv4_route(*any).is_ok(),
                IpAddr::V6(any) => self.interface.routes_mut().add_default_ipv6_route(*any).is_ok(),
            };
        }
    }

    /// Whether none is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins one to a port of the VIP; `None` when too many are under way to it.
    pub(crate) fn open(&mut self, way: Way, port: u16) -> Option<Ends> {
        let to = SocketAddr::new(way.vip, port);
        let mut ports = (0..PROBE_STREAM_PORTS).map(|further| PROBE_STREAM_PORT_FIRST + (self.next_port + further) % PROBE_STREAM_PORTS);
        let from = ports.find(|port| !self.open.contains_key(&(to, *port)))?;
        if self.open.len() >= abi::limits::PROBE_STREAMS as usize {
            return None;
        }
        self.next_port = from - PROBE_STREAM_PORT_FIRST + 1;
        let buffer = |bytes| tcp::SocketBuffer::new(alloc::vec![0; bytes]);
        let mut socket = tcp::Socket::new(buffer(WINDOW_BYTES), buffer(UNSENT_BYTES));
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = IpEndpoint::new(way.source.into(), from);
        let remote = IpEndpoint::new(way.vip.into(), port);
        socket.connect(self.interface.context(), remote, local).ok()?;
        let handle = self.sockets.add(socket);
        self.open.insert((to, from), Stream { way, handle, state: State::Opening, pair: None, is_over: false });
        Some((to, from))
    }

    /// How far one is.
    pub(crate) fn state(&self, ends: Ends) -> State {
        self.open.get(&ends).map_or(State::NoWay, |stream| stream.state)
    }

    /// One that is open, for somebody to speak over.
    pub(crate) fn hand_over(&mut self, ends: Ends) -> io::Result<OwnedFd> {
        let stream = self.open.get_mut(&ends).ok_or(io::ErrorKind::NotConnected)?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        stream.pair = Some(ours);
        Ok(theirs.into())
    }

    /// Ends one, wherever it is: the origin is told by a reset, and forgets it at once.
    pub(crate) fn close(&mut self, ends: Ends) {
        if let Some(stream) = self.open.get_mut(&ends) {
            self.sockets.get_mut::<tcp::Socket<'_>>(stream.handle).abort();
            stream.is_over = true;
        }
    }

    /// Takes what came, and sends what is to be sent.
    pub(crate) fn turn(&mut self, path: &mut Path, balancer: &mut Balancer, now: Duration) -> Result<(), MapError> {
        self.wire.came.extend(path.came());
        self.poll(now);
        while let Some(packet) = self.wire.to_go.pop_front() {
            self.send(path, balancer, &packet)?;
        }
        for (ends, stream) in self.open.extract_if(|_, stream| stream.is_over) {
            self.sockets.remove(stream.handle);
            path::forget_stream(balancer, &flow(&ends, stream.way.source))?;
        }
        Ok(())
    }

    fn poll(&mut self, now: Duration) {
        let now = Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        for stream in self.open.values_mut() {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(stream.handle);
            stream.look(socket);
        }
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }

    fn send(&mut self, path: &mut Path, balancer: &mut Balancer, packet: &[u8]) -> Result<(), MapError> {
        let Some((ends, first)) = read(packet) else { return Ok(()) };
        // An answer to what belongs to no connection any more.
        let Some(stream) = self.open.get_mut(&ends) else { return Ok(()) };
        if let Some(first) = first {
            path::await_stream(balancer, &flow(&ends, stream.way.source), first)?;
        }
        if path.put(balancer, stream.way, packet).is_err() && stream.state == State::Opening {
            stream.state = State::NoWay;
        }
        Ok(())
    }
}

impl Stream {
    /// What became of it, and what the other end of the pair has to say and to hear.
    fn look(&mut self, socket: &mut tcp::Socket<'_>) {
        if self.state == State::Opening {
            self.state = match socket.state() {
                tcp::State::SynSent => State::Opening,
                tcp::State::Closed => State::Refused,
                // An origin may have said already that it says nothing more.
                tcp::State::Listen
                | tcp::State::SynReceived
                | tcp::State::Established
                | tcp::State::FinWait1
                | tcp::State::FinWait2
                | tcp::State::CloseWait
                | tcp::State::Closing
                | tcp::State::LastAck
                | tcp::State::TimeWait => State::Open,
            };
        }
        if let Some(pair) = &self.pair {
            hear(socket, pair);
            say(socket, pair);
        }
    }
}

/// From the origin to whoever asks.
fn hear(socket: &mut tcp::Socket<'_>, mut pair: &UnixStream) {
    while socket.can_recv() {
        // Who does not listen any more has asked enough.
        let written = socket.recv(|bytes| pair.write(bytes).map_or((0, 0), |written| (written, written)));
        if written.unwrap_or(0) == 0 {
            return;
        }
    }
    if !socket.may_recv() {
        let _shut = pair.shutdown(Shutdown::Write);
    }
}

/// From whoever asks to the origin.
fn say(socket: &mut tcp::Socket<'_>, mut pair: &UnixStream) {
    let mut buffer = [0; UNSENT_BYTES];
    while socket.can_send() {
        let room = UNSENT_BYTES - socket.send_queue();
        match pair.read(&mut buffer[..room]) {
            Ok(0) => socket.close(),
            // There was room for it.
            Ok(bytes) => drop(socket.send_slice(&buffer[..bytes])),
            Err(_) => return,
        }
    }
}

/// Whose packet of ours it is, and the number that its connection begins with, if it begins one.
fn read(packet: &[u8]) -> Option<(Ends, Option<u32>)> {
    let (to, segment): (IpAddr, &[u8]) = match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            (ip.dst_addr().into(), ip.payload())
        }
        IpVersion::Ipv6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            (ip.dst_addr().into(), ip.payload())
        }
    };
    let tcp = TcpPacket::new_checked(segment).ok()?;
    let first = tcp.syn().then(|| u32::from_be_bytes(tcp.seq_number().0.to_be_bytes()));
    Some(((SocketAddr::new(to, tcp.dst_port()), tcp.src_port()), first))
}

/// As the origin's packets have it.
fn flow((vip, port): &Ends, source: IpAddr) -> FlowKey {
    FlowKey {
        source: abi::Address::from(vip.ip()),
        destination: abi::Address::from(source),
        source_port: vip.port().to_be(),
        destination_port: port.to_be(),
        protocol: protocols::TCP,
        padding: [0; 3],
    }
}

impl Device for Wire {
    type RxToken<'a> = Came;
    type TxToken<'a> = ToGo<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came, ToGo<'_>)> {
        Some((Came(self.came.pop_front()?), ToGo(&mut self.to_go)))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToGo<'_>> {
        Some(ToGo(&mut self.to_go))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // What came was looked at by the interface; between machines of one host nobody makes checksums.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for ToGo<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, make: F) -> R {
        let mut packet = alloc::vec![0; length];
        let made = make(&mut packet);
        self.0.push_back(packet);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(vip: &str) -> Way {
        let vip: IpAddr = vip.parse().unwrap();
        let source = if vip.is_ipv4() { "10.0.0.2" } else { "fd00::2" };
        Way { service: 1, backend: 7, source: source.parse().unwrap(), vip }
    }

    fn streams() -> Streams {
        let mut streams = Streams::new();
        streams.set_sources(&[way("203.0.113.10").source, way("2001:db8::10").source].map(Some));
        streams
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut streams = streams();
        for vip in ["203.0.113.10", "2001:db8::10"] {
            let mut ports: Vec<u16> = (0..PROBE_STREAM_PORTS).map(|_| streams.open(way(vip), 443).unwrap().1).collect();
            ports.sort_unstable();
            ports.dedup();
            assert_eq!((ports.len(), ports[0]), (usize::from(PROBE_STREAM_PORTS), PROBE_STREAM_PORT_FIRST), "{vip}");
            assert_eq!(streams.open(way(vip), 443), None, "{vip}");
        }
        let more = (1000..u16::MAX).take_while(|port| streams.open(way("203.0.113.10"), *port).is_some()).count();
        assert_eq!(more + 2 * usize::from(PROBE_STREAM_PORTS), abi::limits::PROBE_STREAMS as usize);
    }

    /// What would go out begins a connection from our address; a refusal ends it.
    #[test]
    fn refused() {
        for vip in ["203.0.113.10", "2001:db8::10"] {
            let mut streams = streams();
            let ends = streams.open(way(vip), 443).unwrap();
            streams.poll(Duration::from_secs(1));
            let syn = streams.wire.to_go.pop_front().unwrap();
            let (of, first) = read(&syn).unwrap();
            assert_eq!((of, first.is_some(), streams.state(ends)), (ends, true, State::Opening), "{vip}");
            assert!(syn.len() <= MTU && streams.wire.to_go.is_empty());
            streams.wire.came.push_back(refusal(&syn));
            streams.poll(Duration::from_secs(1));
            assert_eq!(streams.state(ends), State::Refused, "{vip}");
        }
    }

    /// The same packet with its ends exchanged, as a reset that acknowledges it. Nobody looks at checksums.
    fn refusal(syn: &[u8]) -> Vec<u8> {
        let (header, address, at) = if syn[0] >> 4 == 4 { (20, 4, 12) } else { (40, 16, 8) };
        let mut reset = syn.to_vec();
        reset[at..at + 2 * address].rotate_left(address);
        let tcp = &mut reset[header..];
        tcp[..4].rotate_left(2);
        let first = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        tcp[8..12].copy_from_slice(&first.wrapping_add(1).to_be_bytes());
        tcp[4..8].fill(0);
        tcp[13] = abi::tcp_flags::RST | abi::tcp_flags::ACK;
        reset
    }
}
