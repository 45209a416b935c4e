//! Probes of backends: put on the way that a client's packet would take, by the same rooms; and their answers, taken out of the traffic.
//!
//! An answer comes from the VIP to an address of ours, for a connection that our stack knows nothing of: it must not see it.
#![expect(unsafe_code, reason = "the ring's memory is written in place: a packet is larger than the stack")]

use crate::deliver::{self, Delivery};
use crate::slot::Choice;
use crate::{maps, vip};
use abi::{
    PROBE_ACCEPTED, PROBE_ANSWER_BYTES, PROBE_NO_WAY, PROBE_PORT_FIRST, PROBE_PORTS, PROBE_REFUSED, PROBE_STREAM_BYTES, PROBE_STREAM_PORTS,
    ProbeAnswer, ProbeFrame, Reason, Settings, flow_hash, protocols, tcp_flags,
};
use prog::packet::Packet;
use prog::parse::{self, Parsed};
use prog::verdict::{Step, Verdict};
use prog::wire::Tcp;

/// The interface to send a probe's packet by, which then stands in the frame as it is to leave; or why there is no way.
#[inline(always)]
pub(crate) fn probe(packet: &Packet) -> u32 {
    match enclose(packet) {
        Ok(interface) => interface,
        Err(verdict) => PROBE_NO_WAY | verdict.reason().unwrap_or(Reason::Broken as u32),
    }
}

#[inline(always)]
fn enclose(packet: &Packet) -> Step<u32> {
    let broken = Verdict::drop(Reason::Broken);
    let settings = maps::settings().ok_or(broken)?;
    let to: ProbeFrame = packet.read(0)?;
    let found = vip::found(number(to.service)).ok_or(broken)?;
    let mut parsed = parse::parse(packet)?;
    parse::transport(packet, &mut parsed)?;
    // Its checksum covers itself alone, as that of an error does.
    parsed.about = parsed.flow.protocol == protocols::ICMP;
    let parsed = maps::note(&parsed).ok_or(broken)?;
    let backend = number(to.backend);
    let hash = flow_hash(settings.hash_seed, &parsed.flow.source, parsed.ports());
    let choice = Choice { backend, hash, others: None };
    let backend = maps::backend(backend).ok_or(broken)?;
    let hop = deliver::enclose(packet, &found, &Delivery { parsed, backend, choice, settings })?;
    Ok(hop.interface(packet))
}

/// Takes a TCP segment that answers a probe; any other goes up to the stack.
#[inline(always)]
pub(crate) fn answered(packet: &Packet, parsed: &Parsed, settings: &Settings) -> Verdict {
    let port = u16::from_be(parsed.flow.destination_port).wrapping_sub(PROBE_PORT_FIRST);
    if port >= PROBE_PORTS + PROBE_STREAM_PORTS || parsed.flow.protocol != protocols::TCP || !is_ours(parsed, settings) {
        return Verdict::PASS;
    }
    let Ok(tcp) = packet.read::<Tcp>(parsed.transport) else { return Verdict::PASS };
    if port >= PROBE_PORTS {
        return give_up(packet, parsed, u32::from_be(tcp.acknowledgement));
    }
    let answer = if tcp.flags & tcp_flags::RST != 0 { PROBE_REFUSED } else { PROBE_ACCEPTED };
    // It acknowledges the SYN, which counts as one (RFC 9293, 3.4).
    take(u32::from_be(tcp.acknowledgement).wrapping_sub(1), answer)
}

/// Gives what belongs to a probe's connection to userspace; what does not goes up to the stack.
#[inline(always)]
fn give_up(packet: &Packet, parsed: &Parsed, acknowledgement: u32) -> Verdict {
    let Some(first) = maps::probe_stream(&parsed.flow) else { return Verdict::PASS };
    // Who saw our packets acknowledges one of them: nobody else can fill the ring.
    if acknowledgement.wrapping_sub(first).wrapping_sub(1) >= PROBE_STREAM_BYTES {
        return Verdict::PASS;
    }
    let length = usize::from(parsed.bytes);
    if length > PROBE_ANSWER_BYTES {
        return Verdict::drop(Reason::AnswerLong);
    }
    let Some(mut entry) = maps::answer() else { return Verdict::drop(Reason::AnswersFull) };
    let answer: *mut ProbeAnswer = entry.as_mut_ptr();
    // SAFETY: the entry's own memory, which nobody else has before it is submitted.
    unsafe { (*answer).length = length as u32 };
    // No packet is empty; the mask is for the verifier.
    let bytes = 1 + ((length - 1) & (PROBE_ANSWER_BYTES - 1));
    // SAFETY: as above.
    let to = unsafe { &raw mut (*answer).bytes }.cast();
    if !packet.load(parsed.ip, to, bytes as u32) {
        entry.discard(0);
        return Verdict::drop(Reason::Truncated);
    }
    entry.submit(0);
    Verdict::TAKEN
}

/// Takes an echo reply to a probe, whose identifier and sequence number are the token; any other goes up to the stack.
#[inline(always)]
pub(crate) fn echoed(parsed: &Parsed, token: u32, settings: &Settings) -> Verdict {
    if is_ours(parsed, settings) { take(u32::from_be(token), PROBE_ACCEPTED) } else { Verdict::PASS }
}

/// Notes the answer, if somebody waits for it.
#[inline(always)]
fn take(token: u32, answer: u32) -> Verdict {
    let Some(waiting) = maps::probe(token) else { return Verdict::PASS };
    *waiting = answer;
    Verdict::TAKEN
}

#[inline(always)]
fn is_ours(parsed: &Parsed, settings: &Settings) -> bool {
    let own = if parsed.is_v4() { &settings.source_v4 } else { &settings.source_v6 };
    parsed.flow.destination == *own
}

#[inline(always)]
fn number(halves: [u16; 2]) -> u32 {
    u32::from(halves[0]) | u32::from(halves[1]) << 16
}
