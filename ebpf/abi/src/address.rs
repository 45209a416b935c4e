//! Addresses as maps hold them: one form for both families, so that every map needs one key and not two.

use core::net::IpAddr;

/// An IPv6 address, or an IPv4 address mapped into one, in four words as they stand in a packet (network order).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u32; 4]);

/// A MAC address; all zero is none.
pub type Mac = [u8; 6];

/// The third word of a mapped IPv4 address.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Address {
    /// An IPv4 address from its word in the packet.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// An IPv4 address from its four bytes.
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self::from_v4_word(u32::from_ne_bytes(bytes))
    }

    /// An IPv6 address from its sixteen bytes. One that is a mapped IPv4 address is that IPv4 address.
    #[expect(clippy::many_single_char_names, reason = "sixteen bytes")]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    /// Is it an IPv4 address?
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        // Without branches: the kernel's verifier walks every one of them.
        self.0[0] | self.0[1] | (self.0[2] ^ MAPPED) == 0
    }

    /// The word of an IPv4 address as it stands in the packet; of an IPv6 address its last.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.0[3]
    }

    /// Is it all zero: no address at all?
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// The sixteen bytes in the packet's order.
    #[expect(clippy::many_single_char_names, reason = "sixteen bytes")]
    pub const fn bytes(&self) -> [u8; 16] {
        let [a, b, c, d] = self.0[0].to_ne_bytes();
        let [e, f, g, h] = self.0[1].to_ne_bytes();
        let [i, j, k, l] = self.0[2].to_ne_bytes();
        let [m, n, o, p] = self.0[3].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

const _: () = assert!(size_of::<Address>() == 16 && align_of::<Address>() == 4);
