//! What compiled filters decide, against what `linux.seccomp` says.

mod cache;
mod machine;
mod plan;
mod random;
mod reference;
mod verdicts;

use oci_spec::runtime::LinuxSeccomp;
use serde_json::Value;

use super::{Profile, RENDEZVOUS};

const DOCKER_SIZE: &str = include_str!("../../../tests/data/seccomp-docker-size.json");

const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const KILL_THREAD: u32 = 0;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;

fn docker_size() -> LinuxSeccomp {
    serde_json::from_str(DOCKER_SIZE).unwrap()
}

fn seccomp(value: Value) -> LinuxSeccomp {
    serde_json::from_value(value).unwrap()
}

fn profile(value: Value) -> Profile {
    Profile::plan(&seccomp(value), true).unwrap()
}

/// What the compiled profile answers to a system call.
fn verdict(value: Value, arch: u32, number: u32, args: [u64; 6]) -> u32 {
    machine::run(&profile(value).compile().unwrap(), &machine::Call { number, arch, args })
}
