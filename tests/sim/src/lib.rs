//! The whole proxy on a simulated network: clients and origins that keep account of every request, a proxy between them, a kernel that does
//! its worst, and a judge. Everything follows from one seed.
//!
//! This crate holds the hosts, the ledger and the judge; the runs stand in `tests/`.
#![forbid(unsafe_code)]

pub mod attacker;
pub mod client;
pub mod counts;
pub mod frames;
pub mod http2_client;
pub mod http2_origin;
pub mod judge;
pub mod ledger;
pub mod link;
pub mod origin;
pub mod plan;
pub mod proxy;
pub mod scene;
pub mod secure;
pub mod seeds;
pub mod setting;
pub mod tunneller;
pub mod whims;
pub mod wire;
