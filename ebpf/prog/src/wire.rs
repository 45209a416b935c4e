//! Headers as they stand in a packet: every field in network order, no padding.
#![expect(missing_docs, reason = "fields have the names of their RFCs")]
#![expect(unsafe_code, reason = "the mark of types that any bytes of a packet are a value of")]

use abi::Mac;

/// Plain bytes: any bit pattern is a value, and there is no padding.
///
/// # Safety
/// The type is `repr(C)`, of integers and arrays of them alone, without padding.
pub unsafe trait Wire: Copy {}

macro_rules! wire {
    ($($(#[$doc:meta])* struct $name:ident($size:literal) { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
        const _: () = assert!(size_of::<$name>() == $size);
        // SAFETY: repr(C), integers only; the size is the sum of the fields'.
        unsafe impl Wire for $name {}
    )* };
}

wire! {
    /// Both MACs of a frame, in the words that they are moved in.
    struct Macs(12) { destination: u32, destination_end: u16, source: u16, source_end: u32 }
    /// A VLAN tag, its own `EtherType` first.
    struct Tag(4) { kind: u16, control: u16 }
    struct EtherType(2) { kind: u16 }
    struct Ipv4(20) {
        version_length: u8, tos: u8, length: u16, identification: u16, fragment: u16, ttl: u8, protocol: u8, checksum: u16,
        source: u32, destination: u32,
    }
    struct Ipv6(40) { version_class_flow: u32, length: u16, next: u8, hops: u8, source: [u32; 4], destination: [u32; 4] }
    /// Any IPv6 extension header but the fragment header; `length` in words of eight bytes after the first.
    struct Extension(2) { next: u8, length: u8 }
    struct FragmentHeader(8) { next: u8, reserved: u8, offset: u16, identification: u32 }
    /// The four bytes that TCP and UDP begin with.
    struct TransportPorts(4) { source: u16, destination: u16 }
    struct Udp(8) { source: u16, destination: u16, length: u16, checksum: u16 }
    struct Tcp(20) {
        source: u16, destination: u16, sequence: u32, acknowledgement: u32, offset: u8, flags: u8, window: u16, checksum: u16, urgent: u16,
    }
    /// TCP's option for the segment size.
    struct SegmentSize(4) { kind_length: u16, bytes: u16 }
    /// The beginning of a QUIC packet with a short header (RFC 9000, 17.3).
    struct QuicShort(6) { first: u8, id: [u8; 5] }
    /// The beginning of a QUIC packet with a long header (RFC 9000, 17.2).
    struct QuicLong(11) { first: u8, version: [u8; 4], id_length: u8, id: [u8; 5] }
    struct Icmp(8) { kind: u8, code: u8, checksum: u16, rest: u32 }
}

// A single byte is no `Wire`: the comparison that checks it is one that the verifier learns nothing from.
// SAFETY: an integer.
unsafe impl Wire for u16 {}
// SAFETY: an integer.
unsafe impl Wire for u32 {}
// SAFETY: repr(C), two bytes and a u16.
unsafe impl Wire for abi::GueHeader {}
// SAFETY: repr(C), two bytes and a u16.
unsafe impl Wire for abi::Candidates {}
// SAFETY: repr(C), four words.
unsafe impl Wire for abi::Address {}
// SAFETY: repr(C), six halves.
unsafe impl Wire for abi::ProbeFrame {}
// SAFETY: repr(C), five words and twelve bytes.
unsafe impl Wire for abi::HopFrame {}

impl Macs {
    /// Of two MACs.
    #[expect(clippy::many_single_char_names, reason = "six bytes each")]
    #[inline(always)]
    pub fn new(destination: Mac, source: Mac) -> Self {
        let [a, b, c, d, e, f] = destination;
        let [g, h, i, j, k, l] = source;
        Self {
            destination: u32::from_ne_bytes([a, b, c, d]),
            destination_end: u16::from_ne_bytes([e, f]),
            source: u16::from_ne_bytes([g, h]),
            source_end: u32::from_ne_bytes([i, j, k, l]),
        }
    }

    /// The one that the frame is for.
    #[expect(clippy::many_single_char_names, reason = "six bytes each")]
    #[inline(always)]
    pub fn destination(&self) -> Mac {
        let ([a, b, c, d], [e, f]) = (self.destination.to_ne_bytes(), self.destination_end.to_ne_bytes());
        [a, b, c, d, e, f]
    }

    /// The one that the frame is from.
    #[expect(clippy::many_single_char_names, reason = "six bytes each")]
    #[inline(always)]
    pub fn source(&self) -> Mac {
        let ([a, b], [c, d, e, f]) = (self.source.to_ne_bytes(), self.source_end.to_ne_bytes());
        [a, b, c, d, e, f]
    }
}

/// Time to live of what we make (RFC 1700's default).
pub const HOPS: u8 = 64;

/// `EtherType` of IPv4.
pub const IPV4: u16 = 0x0800_u16.to_be();
/// `EtherType` of IPv6.
pub const IPV6: u16 = 0x86dd_u16.to_be();
/// `EtherType` of a VLAN tag.
pub const VLAN: u16 = 0x8100_u16.to_be();
/// `EtherType` of an outer tag (802.1ad).
pub const QINQ: u16 = 0x88a8_u16.to_be();

/// Bytes of a frame's header without tags.
pub const ETHERNET_BYTES: usize = 14;

/// IPv4: do not fragment.
pub const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();
/// IPv4: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000_u16.to_be();
/// IPv4: the fragment's place.
pub const FRAGMENT_OFFSET: u16 = 0x1fff_u16.to_be();

/// ICMP: destination unreachable (RFC 792).
pub const UNREACHABLE_V4: u8 = 3;
/// `ICMPv6`: packet too big (RFC 4443, 3.2).
pub const TOO_BIG_V6: u8 = 2;
