//! The next hop: MACs and interface, from the backend's own entry or from the kernel's routes.
#![expect(unsafe_code, reason = "the kernel's route lookup and redirection are helpers")]

use crate::packet::Packet;
use crate::parse::Parsed;
use crate::verdict::{Step, Verdict};
use crate::wire::{ETHERNET_BYTES, EtherType, IPV4, IPV6, Macs, Tag};
use abi::{Address, Backend, Mac, Reason, Settings};
use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup};
use aya_ebpf::helpers;
use core::mem;

/// The next hop.
#[derive(Clone, Copy)]
pub struct Hop {
    macs: Macs,
    /// 0: out of the one it came in by.
    interface: u32,
}

/// Everything of a frame before its IP header.
#[derive(Clone, Copy)]
pub struct Link {
    macs: Macs,
    tags: [Tag; 2],
    count: usize,
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Link {
    /// The packet's own.
    #[inline(always)]
    pub fn read(packet: &Packet, parsed: &Parsed) -> Step<Self> {
        let none = Tag { kind: 0, control: 0 };
        let macs = packet.read(0)?;
        let first = if parsed.tags > 0 { packet.read(size_of::<Macs>())? } else { none };
        let second = if parsed.tags > 1 { packet.read(size_of::<Macs>() + size_of::<Tag>())? } else { none };
        Ok(Self { macs, tags: [first, second], count: parsed.tags })
    }

    /// That of a frame without tags; `None` when there is no whole one.
    #[inline(always)]
    pub fn untagged(packet: &Packet) -> Option<Self> {
        let none = Tag { kind: 0, control: 0 };
        Some(Self { macs: packet.read(0).ok()?, tags: [none; 2], count: 0 })
    }

    /// Write it in front of an IP header of that family: new MACs, the same tags.
    #[inline(always)]
    pub fn write(&self, packet: &Packet, hop: &Hop, is_v4: bool) -> Step<()> {
        packet.write(0, hop.macs)?;
        let kind = EtherType { kind: if is_v4 { IPV4 } else { IPV6 } };
        if self.count > 0 {
            packet.write(size_of::<Macs>(), self.tags[0])?;
        }
        if self.count > 1 {
            packet.write(size_of::<Macs>() + size_of::<Tag>(), self.tags[1])?;
        }
        packet.write(ETHERNET_BYTES - size_of::<EtherType>() + self.count * size_of::<Tag>(), kind)
    }

    /// As it came.
    #[inline(always)]
    pub fn same(&self) -> Hop {
        Hop { macs: self.macs, interface: 0 }
    }

    /// Back to whom it came from.
    #[inline(always)]
    pub fn back(&self) -> Hop {
        Hop { macs: Macs { destination: self.macs.source, source: self.macs.destination }, interface: 0 }
    }
}

impl Hop {
    /// Only the MACs, in place.
    #[inline(always)]
    pub fn write(&self, packet: &Packet) -> Step<()> {
        packet.write(0, self.macs)
    }

    /// The interface that the packet leaves by.
    #[inline(always)]
    pub fn interface(&self, packet: &Packet) -> u32 {
        if self.interface == 0 { packet.interface() } else { self.interface }
    }

    /// Send the packet off; nothing may be changed after it.
    #[inline(always)]
    pub fn send(&self) -> Verdict {
        if self.interface == 0 {
            return Verdict::TRANSMIT;
        }
        // SAFETY: takes numbers.
        let action = unsafe { helpers::bpf_redirect(self.interface, 0) };
        Verdict::redirect(action as u32)
    }
}

/// The next hop to a backend.
#[inline(always)]
pub fn to_backend(packet: &Packet, backend: &Backend, settings: &Settings, link: &Link) -> Step<Hop> {
    if let Some(hop) = known(packet, backend, settings, link) {
        return Ok(hop);
    }
    let source = if backend.address.is_v4() { &settings.source_v4 } else { &settings.source_v6 };
    by_routes(packet, source, &backend.address)
}

/// The next hop to a backend, when its entry or the settings name it.
#[inline(always)]
pub fn known(packet: &Packet, backend: &Backend, settings: &Settings, link: &Link) -> Option<Hop> {
    let own = halves(&backend.mac);
    let destination = if is_none(own) { halves(&settings.gateway_mac) } else { own };
    if is_none(destination) {
        return None;
    }
    let own = halves(&backend.source_mac);
    let source = if is_none(own) { link.macs.destination } else { own };
    let is_same = backend.interface == 0 || backend.interface == packet.interface();
    Some(Hop { macs: Macs { destination, source }, interface: if is_same { 0 } else { backend.interface } })
}

/// The next hop as the kernel's routes and neighbours have it. What is for this machine itself goes up to the stack.
#[inline(always)]
pub fn by_routes(packet: &Packet, source: &Address, destination: &Address) -> Step<Hop> {
    // SAFETY: integers and unions of integers.
    let mut question: bpf_fib_lookup = unsafe { mem::zeroed() };
    question.ifindex = packet.interface();
    if destination.is_v4() {
        question.family = AF_INET;
        question.__bindgen_anon_3.ipv4_src = source.v4_word();
        question.__bindgen_anon_4.ipv4_dst = destination.v4_word();
    } else {
        question.family = AF_INET6;
        question.__bindgen_anon_3.ipv6_src = source.0;
        question.__bindgen_anon_4.ipv6_dst = destination.0;
    }
    // SAFETY: a live context, and a question of the size that is said.
    let answer = unsafe { helpers::bpf_fib_lookup(packet.context().cast(), &raw mut question, size_of::<bpf_fib_lookup>() as i32, 0) };
    match answer as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => {
            let interface = if question.ifindex == packet.interface() { 0 } else { question.ifindex };
            Ok(Hop { macs: Macs { destination: bytes(question.dmac), source: bytes(question.smac) }, interface })
        }
        BPF_FIB_LKUP_RET_NOT_FWDED => Err(Verdict::PASS),
        BPF_FIB_LKUP_RET_NO_NEIGH => Err(Verdict::pass_for(Reason::Unresolved)),
        _ => Err(Verdict::drop(Reason::NoNeighbour)),
    }
}

#[inline(always)]
fn is_none(mac: [u16; 3]) -> bool {
    mac[0] | mac[1] | mac[2] == 0
}

#[inline(always)]
fn bytes(mac: Mac) -> [u16; 3] {
    let half = |at: usize| u16::from_ne_bytes([mac[at], mac[at + 1]]);
    [half(0), half(2), half(4)]
}

/// A MAC of a map's value: they all stand at even places there, which the compiler does not know of bytes.
#[expect(clippy::cast_ptr_alignment, reason = "asserted below")]
#[inline(always)]
fn halves(mac: &Mac) -> [u16; 3] {
    // SAFETY: six bytes at an even place: the two sizes and places are asserted below.
    unsafe { core::ptr::from_ref(mac).cast::<[u16; 3]>().read() }
}

const _: () = assert!(mem::offset_of!(Backend, mac).is_multiple_of(2) && mem::offset_of!(Backend, source_mac).is_multiple_of(2));
const _: () = assert!(mem::offset_of!(Settings, gateway_mac).is_multiple_of(2) && align_of::<Backend>() >= 2);
