//! The whole proxy on a simulated network: clients and origins that keep account of every request, a proxy between them, a kernel that does
//! its worst, and a judge. Everything follows from one seed.
//!
//! This crate holds the hosts, the ledger and the judge; the runs stand in `tests/`.
#![forbid(unsafe_code)]

pub mod client;
pub mod judge;
pub mod ledger;
pub mod origin;
pub mod plan;
pub mod proxy;
pub mod scene;
pub mod seeds;
pub mod wire;
