//! Packets, written out byte by byte, with checksums computed the plain way: over every byte.
//!
//! Independent of the programs' own code on purpose.

use std::net::IpAddr;

/// Who the frame came from.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Who it came to: us.
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// SYN.
pub const SYN: u8 = 2;
/// ACK.
pub const ACK: u8 = 16;

/// The Internet checksum of `bytes`, as it stands in a packet.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A transport's checksum with its pseudo header.
pub fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let mut all = bytes_of(source);
    all.extend(bytes_of(destination));
    all.extend((u32::try_from(segment.len()).expect("short")).to_be_bytes());
    all.extend([0, 0, 0, protocol]);
    all.extend(segment);
    checksum(&all)
}

/// A TCP segment with its checksum.
pub fn tcp(ends: (IpAddr, IpAddr), ports: (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(ports.0.to_be_bytes());
    segment.extend(ports.1.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    segment.extend(data);
    let sum = transport_checksum(ends.0, ends.1, 6, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// A UDP datagram with its checksum.
pub fn udp(ends: (IpAddr, IpAddr), ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(ports.0.to_be_bytes());
    datagram.extend(ports.1.to_be_bytes());
    datagram.extend(u16::try_from(8 + data.len()).expect("short").to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    let sum = match transport_checksum(ends.0, ends.1, 17, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// An IPv4 packet; `fragment` is the field with its flags, `options` a multiple of four.
pub fn ipv4(ends: (IpAddr, IpAddr), protocol: u8, head: &V4, payload: &[u8]) -> Vec<u8> {
    let header = 20 + head.options.len();
    let mut packet = vec![0x40 | u8::try_from(header / 4).expect("short"), head.tos];
    packet.extend(u16::try_from(header + payload.len()).expect("short").to_be_bytes());
    packet.extend(head.identification.to_be_bytes());
    packet.extend(head.fragment.to_be_bytes());
    packet.extend([head.ttl, protocol, 0, 0]);
    packet.extend(bytes_of(ends.0));
    packet.extend(bytes_of(ends.1));
    packet.extend(&head.options);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The fields of an IPv4 header that tests vary.
#[derive(Clone, Debug)]
pub struct V4 {
    /// Type of service.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// Flags and offset.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
    /// Options.
    pub options: Vec<u8>,
}

/// Do not fragment.
pub const DF: u16 = 0x4000;
/// More fragments.
pub const MF: u16 = 0x2000;

impl Default for V4 {
    fn default() -> Self {
        Self { tos: 0, identification: 7, fragment: DF, ttl: 61, options: Vec::new() }
    }
}

/// An IPv6 packet; `next` is the protocol of what the payload begins with.
pub fn ipv6(ends: (IpAddr, IpAddr), next: u8, head: &V6, payload: &[u8]) -> Vec<u8> {
    let mut packet = (6_u32 << 28 | u32::from(head.class) << 20 | head.flow).to_be_bytes().to_vec();
    packet.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
    packet.extend([next, head.hops]);
    packet.extend(bytes_of(ends.0));
    packet.extend(bytes_of(ends.1));
    packet.extend(payload);
    packet
}

/// The fields of an IPv6 header that tests vary.
#[derive(Clone, Debug)]
pub struct V6 {
    /// Traffic class.
    pub class: u8,
    /// Flow label.
    pub flow: u32,
    /// Hop limit.
    pub hops: u8,
}

impl Default for V6 {
    fn default() -> Self {
        Self { class: 0, flow: 0, hops: 61 }
    }
}

/// A frame: MACs, VLAN tags as (kind, control), an IP packet of either version.
pub fn frame(destination: [u8; 6], source: [u8; 6], tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    for (kind, control) in tags {
        frame.extend(kind.to_be_bytes());
        frame.extend(control.to_be_bytes());
    }
    frame.extend(if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    frame.extend(packet);
    frame
}
