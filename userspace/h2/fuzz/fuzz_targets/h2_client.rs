//! Any bytes to a client codec: see `targets.rs`.
#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "the other target uses the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::client(data));
