//! Next hops whose MACs the kernel knows, and goes on knowing.
//!
//! The programs ask the kernel's table of neighbours and cannot make it resolve one: a packet to a backend that nobody has talked to would be
//! dropped, for ever. So each backend is sent a datagram without content now and then, which makes the kernel ask for the next hop's MAC,
//! and notice when it is another one. It goes to the discard port (RFC 863) and no further than one hop.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::UdpSocket;

/// Next hops that are refreshed at a time; the others wait for their turn.
pub const NEIGHBOURS_AT_ONCE: usize = 512;

/// Datagrams by one socket: those to a next hop that does not answer stay in its send buffer for seconds.
const BY_ONE_SOCKET: usize = 128;

const DISCARD: u16 = 9;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neighbours {
    next: usize,
}

impl Neighbours {
    /// Refreshes the next hops to some of these, and to the ones after them the next time.
    pub fn refresh(&mut self, backends: &[IpAddr]) {
        let first = if self.next < backends.len() { self.next } else { 0 };
        let turn = &backends[first..backends.len().min(first + NEIGHBOURS_AT_ONCE)];
        self.next = first + turn.len();
        for is_v4 in [true, false] {
            let family: Vec<IpAddr> = turn.iter().copied().filter(|address| address.is_ipv4() == is_v4).collect();
            family.chunks(BY_ONE_SOCKET).for_each(|some| touch(some, is_v4));
        }
    }
}

/// A datagram that does not go out is tried again with the next turn, and a backend without a next hop shows in what is dropped for it.
fn touch(backends: &[IpAddr], is_v4: bool) {
    let any = if is_v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let Ok(socket) = UdpSocket::bind((any, 0)) else { return };
    let one_hop = if is_v4 { socket.set_ttl(1) } else { rustix::net::sockopt::set_ipv6_unicast_hops(&socket, Some(1)).map_err(Into::into) };
    if one_hop.and_then(|()| socket.set_nonblocking(true)).is_err() {
        return;
    }
    for backend in backends {
        let _sent = socket.send_to(&[], SocketAddr::new(*backend, DISCARD));
    }
}
