//! The harness of the integration tests: real containers, made by a real runtime, on a real kernel.
//!
//! A test makes a [`Test`], asks it for a [`Bundle`], and drives the runtime named by the variable `RUNTIME` (a path
//! or a name on PATH; our own binary otherwise) through it. When the [`Test`] is dropped, everything that the
//! runtime may have left on the machine is counted, and the test fails unless the count is nothing.
//!
//! `WORLD=host` runs tests that do not care on the machine's own cgroups instead of a private cgroup2 tree.
//! `WITHOUT=ENOSYS:openat2,clone3` takes system calls away from every command.
//!
//! The same promises are made to every runtime; where one is known not to keep one, [`gaps`] says so.

#![allow(
    clippy::disallowed_methods,
    reason = "a test program may sleep and look paths up; it guards nothing"
)]

pub mod advisories;
pub mod agent;
pub mod attack;
pub mod bpf;
pub mod bundle;
pub mod command;
pub mod container;
pub mod engines;
pub mod expected;
pub mod faults;
pub mod foretold;
pub mod gaps;
pub mod killer;
pub mod leaks;
pub mod login;
pub mod missing;
pub mod model;
pub mod mutants;
pub mod runtime;
pub mod seccomp;
pub mod sequences;
pub mod smallest;
pub mod terminal;
pub mod test;
pub mod tmux;
pub mod units;
pub mod user;
pub mod vm;
pub mod world;

pub use agent::Agent;
pub use bundle::Bundle;
pub use command::{Exit, Outcome};
pub use container::Container;
pub use expected::Expected;
pub use gaps::{promise, promises};
pub use missing::Missing;
pub use runtime::{Kind, runtime};
pub use test::Test;
pub use world::World;

/// The program inside every test rootfs that reports what it really sees; takes one argument, a JSON request.
pub const PROBER: &str = "/bin/prober";
