//! See `runtime_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runtime_fuzz::config(bytes));
