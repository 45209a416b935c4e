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

    /// The MAC that it came to.
    #[inline(always)]
    pub fn own(&self) -> Source {
        let back = Macs::new([0; 6], self.macs.destination());
        (back.source, back.source_end)
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
        Hop { macs: Macs::new(self.macs.source(), self.macs.destination()), interface: 0 }
    }
}

impl Hop {
    /// To a backend by a MAC that is [`known`]; `own` is the one that the packet came to.
    #[inline(always)]
    pub fn to(destination: Destination, packet: &Packet, backend: &Backend, own: Source) -> Self {
        let mut from = source(&backend.source_mac);
        if u32::from(from.0) | from.1 == 0 {
            from = own;
        }
        let is_same = backend.interface == 0 || backend.interface == packet.interface();
        let (destination, destination_end) = destination;
        let macs = Macs { destination, destination_end, source: from.0, source_end: from.1 };
        Self { macs, interface: if is_same { 0 } else { backend.interface } }
    }

    /// The MACs of the frame that leaves.
    #[inline(always)]
    pub fn macs(&self) -> Macs {
        self.macs
    }

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

/// Our own address of the same family as another's.
#[inline(always)]
pub fn source_for<'a>(destination: &Address, settings: &'a Settings) -> &'a Address {
    if destination.is_v4() { &settings.source_v4 } else { &settings.source_v6 }
}

/// The MAC of the next hop to a backend, when its entry or the settings name it.
#[inline(always)]
pub fn known(backend: &Backend, settings: &Settings) -> Option<Destination> {
    let named = |mac: &Mac| Some(destination(mac)).filter(|to| to.0 | u32::from(to.1) != 0);
    named(&backend.mac).or_else(|| named(&settings.gateway_mac))
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
            Ok(Hop { macs: Macs::new(question.dmac, question.smac), interface })
        }
        BPF_FIB_LKUP_RET_NOT_FWDED => Err(Verdict::PASS),
        BPF_FIB_LKUP_RET_NO_NEIGH => Err(Verdict::pass_for(Reason::Unresolved)),
        _ => Err(Verdict::drop(Reason::NoNeighbour)),
    }
}

/// A MAC to send from in the words of [`Macs`].
pub type Source = (u16, u32);

/// A MAC to send to, as [`Source`].
pub type Destination = (u32, u16);

/// They stand at even places in maps' values, and a word at such a place is read as packets' are.
#[expect(clippy::cast_ptr_alignment, reason = "asserted below, or as in `Packet::read`")]
#[inline(always)]
fn destination(mac: &Mac) -> Destination {
    let place = core::ptr::from_ref(mac);
    // SAFETY: the first four of six bytes.
    let start = unsafe { place.cast::<u32>().read() };
    // SAFETY: within them.
    let end = unsafe { place.cast::<u16>().add(2) };
    // SAFETY: the last two.
    let end = unsafe { end.read() };
    (start, end)
}

#[expect(clippy::cast_ptr_alignment, reason = "asserted below, or as in `Packet::read`")]
#[inline(always)]
fn source(mac: &Mac) -> Source {
    let place = core::ptr::from_ref(mac).cast::<u16>();
    // SAFETY: the first two of six bytes.
    let start = unsafe { place.read() };
    // SAFETY: within them.
    let end = unsafe { place.add(1) }.cast::<u32>();
    // SAFETY: the last four.
    let end = unsafe { end.read() };
    (start, end)
}

const _: () = assert!(mem::offset_of!(Backend, mac).is_multiple_of(4) && mem::offset_of!(Backend, source_mac) % 4 == 2);
const _: () = assert!(mem::offset_of!(Settings, gateway_mac).is_multiple_of(4) && align_of::<Backend>() >= 4);
