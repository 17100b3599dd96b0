//! Any bytes, read as an expression of the kinetics language.

#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code)] // the other target's half
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::expression(bytes));
