//! Any bytes to a server codec: see `targets.rs`.
#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "the other target uses the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::server(data));
