//! Which interfaces have their card merge packets (LRO), as the kernel tells. What was merged is no packet that could be forwarded: it fits
//! nowhere, and its parts cannot be made again.

use alloc::collections::BTreeSet;
use alloc::{string::String, vec, vec::Vec};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use std::io;

use crate::netlink::{Generic, Netlink};

/// The family that knows the other ones' numbers, its question, and the attributes of its answer.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// The family of cards' settings (`linux/ethtool_netlink.h`).
const ETHTOOL: &[u8] = b"ethtool\0";
const GET_FEATURES: u8 = 11;
const HEADER: u16 = 1;
const HEADER_DEVICE_NAME: u16 = 2;
const FEATURES_ACTIVE: u16 = 4;
const SET_BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;
/// An attribute that holds attributes.
const NESTED: u16 = 1 << 15;
/// The kernel's name for it.
const LRO: &[u8] = b"rx-lro\0";
/// Bytes before the attributes of a message: command, version, nothing.
const HEAD_BYTES: usize = 4;

/// Interfaces of this network namespace whose packets may come merged. An error where the kernel does not tell.
pub fn merging() -> io::Result<BTreeSet<String>> {
    let netlink = Netlink::generic()?;
    let mut family = None;
    let question = Generic { family: CONTROL, bytes: [&[GET_FAMILY, 1, 0, 0][..], &attribute(FAMILY_NAME, ETHTOOL)].concat() };
    netlink.ask(question, NLM_F_ACK, |answer| {
        family = find(&answer.bytes[HEAD_BYTES.min(answer.bytes.len())..], FAMILY_ID)
            .and_then(|id| id.first_chunk().map(|id| u16::from_ne_bytes(*id)));
    })?;
    let family = family.ok_or(io::ErrorKind::Unsupported)?;
    let mut merging = BTreeSet::new();
    let question = Generic { family, bytes: [&[GET_FEATURES, 1, 0, 0][..], &attribute(HEADER | NESTED, &[])].concat() };
    netlink.ask(question, NLM_F_DUMP, |answer| merging.extend(merges(&answer.bytes)))?;
    Ok(merging)
}

/// The interface that one part of the answer is about, if its card merges packets.
fn merges(message: &[u8]) -> Option<String> {
    let message = message.get(HEAD_BYTES..)?;
    let name = find(find(message, HEADER)?, HEADER_DEVICE_NAME)?;
    let bits = find(find(message, FEATURES_ACTIVE)?, SET_BITS)?;
    let is_active = attributes(bits).any(|(kind, bit)| kind == BIT && find(bit, BIT_NAME) == Some(LRO));
    is_active.then(|| String::from_utf8_lossy(name).trim_end_matches('\0').into())
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// Kinds and values; ends at what is none.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(HEAD_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & !NESTED, value))
    })
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEAD_BYTES + value.len()).expect("a name or less");
    let mut bytes = vec![];
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(device: &[u8], active: &[&[u8]]) -> Vec<u8> {
        let bits = active.iter().flat_map(|name| attribute(BIT | NESTED, &attribute(BIT_NAME, name)));
        let set = attribute(SET_BITS | NESTED, &bits.collect::<Vec<_>>());
        let header = attribute(HEADER | NESTED, &attribute(HEADER_DEVICE_NAME, device));
        [&[GET_FEATURES, 1, 0, 0][..], &header, &attribute(FEATURES_ACTIVE | NESTED, &set)].concat()
    }

    #[test]
    fn what_is_active_is_told() {
        for (active, expect) in
            [(&[&b"rx-gro\0"[..], b"rx-lro\0"][..], Some("eth0")), (&[&b"rx-gro\0"[..], b"rx-gro-list\0"][..], None), (&[][..], None)]
        {
            assert_eq!(merges(&message(b"eth0\0", active)).as_deref(), expect, "{active:?}");
        }
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let whole = message(b"eth0\0", &[b"rx-lro\0"]);
        for end in 0..whole.len() {
            assert_eq!(merges(&whole[..end]), None, "{end}");
        }
        for (at, value) in (0..whole.len()).flat_map(|at| [0, 1, 3, 0xff].map(|value| (at, value))) {
            let mut odd = whole.clone();
            odd[at] = value;
            let _any = merges(&odd);
        }
    }
}
