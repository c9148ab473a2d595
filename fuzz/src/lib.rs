//! What is done with bytes from outside: one function for each source of them, for fuzzers of any kind.
//!
//! `fuzz_targets/` hands them to libFuzzer, `tests/bounded.rs` runs them for a moment on any toolchain, and `make fuzz`
//! for as long as one likes. A function returns if all is well, and panics otherwise.
#![deny(unsafe_code)]

mod arguments;
mod bus;
mod cgroups;
mod configurations;
mod files;
mod hosts;
mod id_maps;
mod jail;
mod kernel;
mod messages;
mod plans;
pub mod random;
pub mod resolvers;
mod seccomp;
mod seeds;
mod state;
mod surroundings;
mod target;
mod users;

// The init program isn't a crate: these files of it are compiled in, with what they want to find beside them.
#[allow(dead_code)]
#[path = "../../runtime-core/init/fault.rs"]
mod fault;
#[allow(dead_code)]
#[path = "../../runtime-core/init/passwd.rs"]
mod passwd;
#[allow(dead_code)]
#[path = "../../runtime-core/init/paths.rs"]
mod paths;
#[allow(dead_code, unreachable_pub, unsafe_code, unused_imports)]
#[path = "../../runtime-core/init/sys/mod.rs"]
mod sys;
#[allow(dead_code)]
#[path = "../../runtime-core/init/walk.rs"]
mod walk;
use runtime_core::step;

pub use seeds::seeds;
pub use target::{PATIENCE, TARGETS, Target, check, processor_time};
