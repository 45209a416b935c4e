//! The kernel programs as they were built with this binary.
//!
//! They are data here: whoever has the binary has the programs of the same layout, and no compiler is needed where it runs.

use aya::EbpfLoader;

/// Forwards packets: to be attached to a balancer's interfaces.
pub static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/balancer"));

/// Its program that puts probes on their way, and the one that asks for next hops: run by userspace, and never attached.
pub(crate) const PROBE: &str = "probe";
pub(crate) const HOP: &str = "hop";

/// Opens envelopes: to be attached to an origin's interfaces.
pub static ORIGIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/origin"));

/// Brings connections of VIPs to our own listeners, and connections to workers.
pub static STEER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer"));

/// What the balancer is measured against: for the bench alone.
pub static YARDSTICK: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/yardstick"));

/// Sends on what joined sockets receive: one for each worker.
pub static REDIRECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect"));

/// Whether the balancer can say what it does with each packet: in debug builds (`ebpf/prog/src/bin/balancer/log.rs`).
pub const HAS_LOG: bool = cfg!(kernel_log);

/// A loader of them that has them say what `log`'s level asks for at this moment.
pub fn loader() -> EbpfLoader<'static> {
    /// The level's numbers are the same on both sides.
    static LEVELS: [u8; 6] = [0, 1, 2, 3, 4, 5];
    let mut loader = EbpfLoader::new();
    // Most have no such constant, and what is shipped has none at all.
    loader.override_global(aya_log::LEVEL, &LEVELS[log::max_level() as usize], false);
    loader
}
