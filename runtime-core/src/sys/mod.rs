//! Typed system calls that the chosen crates lack. With `launch::clone`, the only room where `unsafe` may live.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub(crate) mod arch;
pub(crate) mod bpf;
pub(crate) mod calls;
pub(crate) mod errand;
pub(crate) mod inherited;
pub(crate) mod mount;
pub(crate) mod process;
pub mod signals;
pub(crate) mod spawn;
pub(crate) mod text;
