//! Packets that probe: what a client would send, in a frame for the program `probe`.

use alloc::vec::Vec;
use core::net::IpAddr;

use abi::tcp_flags;

/// Who is probed, and along which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The service's number.
    pub(crate) service: u32,
    /// The backend's number.
    pub(crate) backend: u32,
    /// Our own address, of the VIP's family.
    pub(crate) source: IpAddr,
    /// The VIP's.
    pub(crate) vip: IpAddr,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The first segment of a connection between these ports; its sequence number is the token.
    Syn { from: u16, to: u16, token: u32 },
    /// The end of that connection, before it was one.
    Reset { from: u16, to: u16, token: u32 },
    /// An echo request whose identifier and sequence number are the token.
    Echo { token: u32 },
}

const ETHERNET_BYTES: usize = 14;
const HOPS: u8 = 64;
const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;

/// The frame that says it.
pub(crate) fn frame(way: Way, message: Message) -> Vec<u8> {
    let (protocol, mut transport) = transport(message, way.vip.is_ipv4());
    let checksum = checksum(&pseudo(way, protocol, transport.len()), &transport);
    let at = if protocol == abi::protocols::TCP { 16 } else { 2 };
    transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());

    let mut packet = network(way, protocol, transport.len());
    packet.extend_from_slice(&transport);
    around(way, &packet)
}

/// The frame that has this packet in it.
pub(crate) fn around(way: Way, packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_BYTES + packet.len());
    for number in [way.service, way.backend] {
        frame.extend_from_slice(&number.to_le_bytes());
        frame.extend_from_slice(&[0, 0]);
    }
    frame.extend_from_slice(if way.vip.is_ipv4() { &[0x08, 0x00] } else { &[0x86, 0xdd] });
    frame.extend_from_slice(packet);
    frame
}

/// Protocol, header and content, with a checksum of zero.
fn transport(message: Message, is_v4: bool) -> (u8, Vec<u8>) {
    let (from, to, sequence, flags) = match message {
        Message::Syn { from, to, token } => (from, to, token, tcp_flags::SYN),
        // The SYN counts as one (RFC 9293, 3.4).
        Message::Reset { from, to, token } => (from, to, token.wrapping_add(1), tcp_flags::RST),
        Message::Echo { token } => {
            let (protocol, kind) = if is_v4 { (abi::protocols::ICMP, ECHO_V4) } else { (abi::protocols::ICMPV6, ECHO_V6) };
            let mut echo = [kind, 0, 0, 0].to_vec();
            echo.extend_from_slice(&token.to_be_bytes());
            return (protocol, echo);
        }
    };
    let mut tcp = Vec::with_capacity(20);
    tcp.extend_from_slice(&from.to_be_bytes());
    tcp.extend_from_slice(&to.to_be_bytes());
    tcp.extend_from_slice(&sequence.to_be_bytes());
    // No acknowledgement; five words of header; the flags; the largest window without scaling; checksum and urgent pointer.
    tcp.extend_from_slice(&[0, 0, 0, 0, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    (abi::protocols::TCP, tcp)
}

/// The network header.
fn network(way: Way, protocol: u8, payload: usize) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    match (way.source, way.vip) {
        (IpAddr::V4(source), IpAddr::V4(vip)) => {
            let [high, low] = length(20 + payload);
            let mut ip = [0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            ip[12..16].copy_from_slice(&source.octets());
            ip[16..20].copy_from_slice(&vip.octets());
            let sum = checksum(&[], &ip).to_be_bytes();
            ip[10..12].copy_from_slice(&sum);
            ip.to_vec()
        }
        (source, vip) => {
            let mut ip = [0x60, 0, 0, 0].to_vec();
            ip.extend_from_slice(&length(payload));
            ip.extend_from_slice(&[protocol, HOPS]);
            ip.extend_from_slice(&octets(source));
            ip.extend_from_slice(&octets(vip));
            ip
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// What the checksum covers beside the transport itself; ICMP of IPv4 has none (RFC 792).
fn pseudo(way: Way, protocol: u8, bytes: usize) -> Vec<u8> {
    if protocol == abi::protocols::ICMP {
        return Vec::new();
    }
    let mut pseudo = octets(way.source);
    pseudo.extend_from_slice(&octets(way.vip));
    pseudo.extend_from_slice(&u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes());
    pseudo.extend_from_slice(&[0, protocol]);
    pseudo
}

/// The Internet checksum (RFC 1071) of these bytes, of which each part is of even length.
fn checksum(pseudo: &[u8], bytes: &[u8]) -> u16 {
    let halves = pseudo.chunks(2).chain(bytes.chunks(2)).map(|half| u32::from(half[0]) << 8 | half.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = halves.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(source: &str, vip: &str) -> Way {
        Way { service: 0x0102_0304, backend: 7, source: source.parse().unwrap(), vip: vip.parse().unwrap() }
    }

    #[test]
    fn checksums_hold() {
        let (v4, v6) = (way("10.0.0.2", "203.0.113.10"), way("fd00::2", "2001:db8::10"));
        let (syn, reset, echo) = (
            Message::Syn { from: 256, to: 443, token: u32::MAX },
            Message::Reset { from: 256, to: 443, token: u32::MAX },
            Message::Echo { token: 0x1234_5678 },
        );
        for (what, way, message, bytes) in [
            ("syn over IPv4", v4, syn, 54),
            ("reset over IPv4", v4, reset, 54),
            ("echo over IPv4", v4, echo, 42),
            ("syn over IPv6", v6, syn, 74),
            ("reset over IPv6", v6, reset, 74),
            ("echo over IPv6", v6, echo, 62),
        ] {
            let frame = frame(way, message);
            assert_eq!(frame.len(), bytes, "{what}");
            let network = if way.vip.is_ipv4() { 20 } else { 40 };
            let (ip, transport) = frame[ETHERNET_BYTES..].split_at(network);
            // With its own checksum in it, a sum is all ones.
            assert!(!way.vip.is_ipv4() || checksum(&[], ip) == 0, "{what}");
            let protocol = if way.vip.is_ipv4() { ip[9] } else { ip[6] };
            assert_eq!(checksum(&pseudo(way, protocol, transport.len()), transport), 0, "{what}");
        }
    }

    #[test]
    fn macs_say_who() {
        let frame = frame(way("10.0.0.2", "203.0.113.10"), Message::Echo { token: 0 });
        assert_eq!(frame[..ETHERNET_BYTES], [4, 3, 2, 1, 0, 0, 7, 0, 0, 0, 0, 0, 8, 0]);
    }
}
