//! Typed system calls that the chosen crates lack.

pub mod signals;
