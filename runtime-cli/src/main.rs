//! The `runtime` command.
//!
//! Its entry point is C's. The standard library's start-up reads `/proc/self/maps` and makes a signal stack to explain
//! stack overflows: a seventh of our system calls, and a tenth of a millisecond of every command.
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the one name that the C library calls")]
#[unsafe(no_mangle)]
extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    i32::from(runtime_cli::command())
}
