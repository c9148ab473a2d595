//! See `runtime_fuzz::mounts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runtime_fuzz::mounts(bytes));
