//! First bytes to the reader of hellos: see `targets.rs`.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../targets.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::hello(data));
