//! Any bytes, read as a scene.

#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code)] // the other target's half
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::scene(bytes));
