//! The kernel programs as they were built with this binary.
//!
//! They are data here: whoever has the binary has the programs of the same layout, and no compiler is needed where it runs.

/// Forwards packets: to be attached to a balancer's interfaces.
pub static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/balancer"));

/// Opens envelopes: to be attached to an origin's interfaces.
pub static ORIGIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/origin"));

/// Brings connections of VIPs to our own listeners, and connections to workers.
pub static STEER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer"));

/// What the balancer is measured against: for the bench alone.
pub static YARDSTICK: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/yardstick"));

/// Sends on what joined sockets receive: one for each worker.
pub static REDIRECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect"));
