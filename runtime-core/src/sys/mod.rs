//! Typed system calls that the chosen crates lack.

pub(crate) mod bpf;
