//! What the kernel programs share: the packet, what stands in it, and where it goes. The programs themselves are `bin/balancer` and `bin/origin`;
//! what they do with a packet is told in `docs/LIFE_OF_A_PACKET.md` in the order of the code, the story itself is each one's `story.rs`.
//!
//! Everything is inlined into one function for each program: the verifier then knows every bound, and no call costs. All access to packets
//! goes through [`packet::Packet`], all access to maps through each program's `maps.rs`, so that the rooms need no `unsafe`. Maps stand with
//! their program: a map in this library would be made for all of them.
//! Nothing here may loop without a bound, keep state for a packet of a slot that is at home, or drop a packet without counting why.
#![no_std]
#![expect(clippy::inline_always, reason = "one function for each program is what the verifier understands and what is fast")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "header fields are cut to their width on purpose"
)]

pub mod checksum;
mod made;
pub mod packet;
pub mod parse;
pub mod plain;
#[cfg(target_arch = "bpf")]
mod program;
pub mod route;
pub mod services;
pub mod socket;
pub mod verdict;
pub mod wire;
