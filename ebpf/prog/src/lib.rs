//! The kernel programs. What they do with a packet is told in `docs/LIFE_OF_A_PACKET.md` in the order of the code; the story itself is
//! [`balance::story`].
//!
//! Everything is inlined into one function for each program: the verifier then knows every bound, and no call costs. All access to packets
//! goes through [`packet::Packet`], all access to maps through what `maps.rs` gives, so that the rooms need no `unsafe`.
//! Nothing here may loop without a bound, keep state for a packet of a slot that is at home, or drop a packet without counting why.
#![no_std]
#![expect(clippy::inline_always, reason = "one function for each program is what the verifier understands and what is fast")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "header fields are cut to their width on purpose, everywhere"
)]

pub mod balance;
mod budget;
mod checksum;
mod count;
mod encap;
mod fragment;
mod icmp;
mod maps;
mod nat;
mod packet;
mod parse;
mod reset;
mod route;
mod slot;
mod verdict;
mod vip;
mod wire;

pub use packet::Packet;
