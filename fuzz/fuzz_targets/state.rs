//! See `runtime_fuzz::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runtime_fuzz::state(bytes));
