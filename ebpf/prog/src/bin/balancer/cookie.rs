//! SYN cookies for our own listeners under flood: a SYN is answered here and kept nowhere; whoever acknowledges exists.
//!
//! Each CPU judges by its own share of the thresholds. Under flood a trickle of SYNs still goes up: the kernel takes a cookie only when
//! the listener has overflowed lately. The answer carries no option but the segment size, so such a connection has no window scaling.
#![expect(unsafe_code, reason = "cookies are made and checked by helpers of the kernel")]

use crate::budget::{self, Budget};
use crate::count;
use crate::maps::{self, Flood};
use abi::{Reason, Settings, protocols, tcp_flags};
use aya_ebpf::helpers;
use prog::checksum::{self, Sum};
use prog::packet::Packet;
use prog::parse::{Parsed, Piece};
use prog::route::Link;
use prog::socket::{self, Owner};
use prog::verdict::{Step, Verdict};
use prog::wire::{Ipv4, Ipv6, SegmentSize, Tcp};

/// The window that we offer: the largest without scaling.
const WINDOW: u16 = u16::MAX;

/// TCP's option for the segment size (RFC 9293, 3.2).
const SEGMENT_SIZE: u16 = 0x0204_u16.to_be();

/// Let a packet up to our own listener, or answer it here.
#[inline(always)]
pub(crate) fn screen(packet: &Packet, parsed: &Parsed, settings: &Settings) -> Step<Verdict> {
    if parsed.flow.protocol != protocols::TCP || parsed.about || parsed.piece != Piece::Whole {
        return Ok(Verdict::PASS);
    }
    let Some(flood) = maps::flood() else { return Ok(Verdict::PASS) };
    judge(flood, parsed.is_syn(), settings);
    if flood.active == 0 {
        return Ok(Verdict::PASS);
    }
    if parsed.is_syn() {
        if budget::spend(Budget::Trickle, settings.cookies_trickle_per_s, settings) {
            return Ok(Verdict::pass_for(Reason::CookieTrickle));
        }
        return answer(packet, parsed);
    }
    if parsed.tcp & (tcp_flags::ACK | tcp_flags::RST) != tcp_flags::ACK || socket::owner(packet, parsed) == Owner::Connection {
        return Ok(Verdict::PASS);
    }
    if is_cookie(packet, parsed) { Ok(Verdict::pass_for(Reason::CookieAccepted)) } else { Err(Verdict::drop(Reason::BadCookie)) }
}

/// Is it a flood? Begun by one second above the upper threshold, ended by some below the lower one.
#[inline(always)]
fn judge(flood: &mut Flood, is_syn: bool, settings: &Settings) {
    let share = |per_second: u32| (per_second / settings.cpus.max(1)).max(1);
    let now = budget::second();
    if flood.second != now {
        // Seconds without any SYN were calm ones too.
        let silent = now.wrapping_sub(flood.second).wrapping_sub(1);
        flood.calm = if flood.syns < share(settings.cookies_off_per_s) { flood.calm.saturating_add(1 + silent) } else { silent };
        if flood.calm >= Settings::COOKIES_CALM_S {
            flood.active = 0;
        }
        (flood.second, flood.syns) = (now, 0);
    }
    flood.syns += u32::from(is_syn);
    if flood.syns >= share(settings.cookies_on_per_s) {
        (flood.active, flood.calm) = (1, 0);
    }
}

/// Answer a SYN by a cookie.
#[inline(always)]
fn answer(packet: &Packet, parsed: &Parsed) -> Step<Verdict> {
    let theirs: Tcp = packet.read(parsed.transport)?;
    let bytes = usize::from(theirs.offset >> 4) * 4;
    let made = make(packet, parsed, bytes);
    // What the kernel makes no cookie of (IPv4 options, say) is for the listener to judge.
    if made < 0 {
        return Ok(Verdict::pass_for(Reason::CookieTrickle));
    }
    let with_size = bytes >= size_of::<Tcp>() + size_of::<SegmentSize>();
    let option = SegmentSize { kind_length: SEGMENT_SIZE, bytes: ((made >> 32) as u16).to_be() };
    let length = size_of::<Tcp>() + if with_size { size_of::<SegmentSize>() } else { 0 };
    let mut ours = Tcp {
        source: theirs.destination,
        destination: theirs.source,
        sequence: (made as u32).to_be(),
        acknowledgement: u32::from_be(theirs.sequence).wrapping_add(1).to_be(),
        offset: ((length / 4) << 4) as u8,
        flags: tcp_flags::SYN | tcp_flags::ACK,
        window: WINDOW.to_be(),
        checksum: 0,
        urgent: 0,
    };
    let (vip, client) = (parsed.flow.destination, parsed.flow.source);
    let options = if with_size { Sum::new().half(option.kind_length).half(option.bytes) } else { Sum::new() };
    ours.checksum = checksum::pseudo(&vip, &client, protocols::TCP, length as u16).plus(checksum::tcp(&ours)).plus(options).checksum();
    let header = if parsed.is_v4() { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    packet.cut(parsed.ip + header + length)?;
    if parsed.is_v4() {
        packet.write(parsed.ip, Ipv4::made(protocols::TCP, length as u16, vip.v4_word(), client.v4_word()))?;
    } else {
        packet.write(parsed.ip, Ipv6::made(protocols::TCP, length as u16, vip.0, client.0))?;
    }
    packet.write(parsed.ip + header, ours)?;
    if with_size {
        packet.write(parsed.ip + header + size_of::<Tcp>(), option)?;
    }
    let hop = Link::read(packet, parsed)?.back();
    hop.write(packet)?;
    count::reason(Reason::CookieSent);
    Ok(hop.send())
}

/// The cookie (low half) and segment size (high half) for a SYN; negative when there is none.
#[inline(always)]
fn make(packet: &Packet, parsed: &Parsed, bytes: usize) -> i64 {
    let header = if parsed.is_v4() { size_of::<Ipv4>() } else { size_of::<Ipv6>() };
    // The helper wants the whole header in one piece of known bounds, so it gets a copy.
    if parsed.transport != parsed.ip + header || !(size_of::<Tcp>()..=maps::TCP_BYTES_MAX).contains(&bytes) {
        return -1;
    }
    // Seen to be right above, and seen again by the verifier, which forgets where a number came from.
    let bytes = size_of::<Tcp>() + ((bytes - size_of::<Tcp>()) & maps::TCP_OPTIONS_MASK);
    let Some(copy) = maps::tcp_copy() else { return -1 };
    if !packet.load(parsed.transport, copy, bytes as u32) {
        return -1;
    }
    if parsed.is_v4() {
        let Ok(ip) = packet.place::<Ipv4>(parsed.ip) else { return -1 };
        // SAFETY: a header within the packet, and a copy of as many bytes.
        unsafe { helpers::bpf_tcp_raw_gen_syncookie_ipv4(ip.cast(), copy.cast(), bytes as u32) }
    } else {
        let Ok(ip) = packet.place::<Ipv6>(parsed.ip) else { return -1 };
        // SAFETY: as above.
        unsafe { helpers::bpf_tcp_raw_gen_syncookie_ipv6(ip.cast(), copy.cast(), bytes as u32) }
    }
}

/// Does it acknowledge a cookie of this machine?
#[inline(always)]
fn is_cookie(packet: &Packet, parsed: &Parsed) -> bool {
    let Ok(tcp) = packet.place::<Tcp>(parsed.transport) else { return false };
    if parsed.is_v4() {
        let Ok(ip) = packet.place::<Ipv4>(parsed.ip) else { return false };
        // SAFETY: headers within the packet.
        unsafe { helpers::bpf_tcp_raw_check_syncookie_ipv4(ip.cast(), tcp.cast()) == 0 }
    } else {
        let Ok(ip) = packet.place::<Ipv6>(parsed.ip) else { return false };
        // SAFETY: headers within the packet.
        unsafe { helpers::bpf_tcp_raw_check_syncookie_ipv6(ip.cast(), tcp.cast()) == 0 }
    }
}
