//! Sockets of this machine: does somebody here own a TCP segment?
#![expect(unsafe_code, reason = "sockets are looked up by helpers of the kernel")]

use crate::packet::Packet;
use crate::parse::Parsed;
use crate::wire::{Ipv4, Ipv6, Tcp};
use aya_ebpf::bindings::{bpf_sock, bpf_sock_tuple};
use aya_ebpf::helpers;
use core::mem;

/// Whose a segment is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A connection's: established, beginning or ending.
    Connection,
    /// Nobody's yet, but it acknowledges a SYN cookie of this machine.
    Cookie,
    /// A listener's at best: no connection knows it.
    Nobody,
}

/// The state of a listening socket.
const LISTEN: u32 = 10;

/// The namespace that the packet is in.
const THIS_NAMESPACE: u64 = -1_i64 as u64;

/// Whose is this segment?
#[inline(always)]
pub fn owner(packet: &Packet, segment: &Parsed) -> Owner {
    // SAFETY: a union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { mem::zeroed() };
    let flow = &segment.flow;
    let bytes = if segment.is_v4() {
        // SAFETY: plain integers, all of them written.
        let v4 = unsafe { &mut tuple.__bindgen_anon_1.ipv4 };
        (v4.saddr, v4.daddr) = (flow.source.v4_word(), flow.destination.v4_word());
        (v4.sport, v4.dport) = (flow.source_port, flow.destination_port);
        size_of_val(v4)
    } else {
        // SAFETY: as above.
        let v6 = unsafe { &mut tuple.__bindgen_anon_1.ipv6 };
        (v6.saddr, v6.daddr) = (flow.source.0, flow.destination.0);
        (v6.sport, v6.dport) = (flow.source_port, flow.destination_port);
        size_of_val(v6)
    };
    let context = packet.context().cast();
    // SAFETY: a live context and a tuple of the size that is said.
    let socket = unsafe { helpers::bpf_skc_lookup_tcp(context, &raw mut tuple, bytes as u32, THIS_NAMESPACE, 0) };
    if socket.is_null() {
        return Owner::Nobody;
    }
    // SAFETY: found, and held until it is released below.
    let state = unsafe { (*socket).state };
    let owner = if state != LISTEN {
        Owner::Connection
    } else if is_cookie(packet, segment, socket) {
        Owner::Cookie
    } else {
        Owner::Nobody
    };
    // SAFETY: found above, and not used any more.
    unsafe { helpers::bpf_sk_release(socket.cast()) };
    owner
}

/// Does it acknowledge a cookie that the listener's machine has sent?
#[inline(always)]
fn is_cookie(packet: &Packet, segment: &Parsed, listener: *mut bpf_sock) -> bool {
    let Ok(tcp) = packet.place::<Tcp>(segment.transport) else { return false };
    let (ip, bytes) = if segment.is_v4() {
        let Ok(ip) = packet.place::<Ipv4>(segment.ip) else { return false };
        (ip.cast(), size_of::<Ipv4>())
    } else {
        let Ok(ip) = packet.place::<Ipv6>(segment.ip) else { return false };
        (ip.cast(), size_of::<Ipv6>())
    };
    // SAFETY: a socket that is held, and headers within the packet.
    unsafe { helpers::bpf_tcp_check_syncookie(listener.cast(), ip, bytes as u32, tcp.cast(), size_of::<Tcp>() as u32) == 0 }
}
