//! containerd with the shim: a daemon in a room of its own for each concern, an image made by hand, containers started by
//! `ctr` or through the CRI.
//!
//! Where containerd or busybox is missing, a test says so and is over.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod engine;
mod life;
mod pods;
mod streams;
mod survival;
