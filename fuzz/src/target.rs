//! The targets, and the limits that hold for all of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{
    arguments, bus, cgroups, configurations, id_maps, kernel, messages, resolvers, seccomp, state,
    surroundings, users,
};

/// A source of bytes, and what is done with them.
#[derive(Debug)]
pub struct Target {
    /// Its name, also that of its seeds and corpus.
    pub name: &'static str,
    /// Panics if something is wrong.
    pub check: fn(&[u8]),
    /// How many bytes a fuzzer gives it at most.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target { name: "config", check: configurations::document, longest: 16 << 10 },
    Target { name: "mounts", check: configurations::mounts, longest: 1 << 10 },
    Target { name: "id_maps", check: id_maps::maps, longest: 8 << 10 },
    Target { name: "sysctls", check: configurations::sysctls, longest: 512 },
    Target { name: "seccomp", check: seccomp::profile, longest: 4 << 10 },
    Target { name: "cgroups", check: cgroups::paths, longest: 512 },
    Target { name: "resolvers", check: resolvers::tree, longest: 512 },
    Target { name: "users", check: users::passwd, longest: 8 << 10 },
    Target { name: "messages", check: messages::messages, longest: 8 << 10 },
    Target { name: "state", check: state::directory, longest: 8 << 10 },
    Target { name: "kernel", check: kernel::files_of_the_kernel, longest: 64 << 10 },
    Target { name: "bus", check: bus::message, longest: 4 << 10 },
    Target { name: "arguments", check: arguments::line, longest: 4 << 10 },
    Target { name: "surroundings", check: surroundings::words, longest: 4 << 10 },
];

/// The longest time that one input may take.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Does what the target with this name does, in time.
pub fn check(name: &str, bytes: &[u8]) {
    static ALONE: Mutex<()> = Mutex::new(());
    let target = TARGETS.iter().find(|target| target.name == name).expect("there is such a target");
    // The time of the process is looked at: nobody else may use it up. A panic of another is that one's.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = processor_time();
    (target.check)(bytes);
    let used = processor_time() - begun;
    assert!(used < PATIENCE, "{name} took {used:?} for {} bytes", bytes.len());
}

/// What this process has used so far: a machine with much to do is no reason to complain.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
