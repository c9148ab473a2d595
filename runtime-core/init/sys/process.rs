//! What a process is: its signals, limits, users, keys, namespaces.

use core::ffi::CStr;

use super::arch::number;
use super::calls::{Answer, Fd, address, call, done, text};

/// Blocks no signal any more.
pub fn unblock_signals() -> Answer<()> {
    const SIG_SETMASK: usize = 2;
    let none = 0u64;
    done(call(number::RT_SIGPROCMASK, [SIG_SETMASK, address(&none), 0, size_of::<u64>(), 0, 0]))
}

/// Gives a signal its default meaning again.
pub fn reset_signal(signal: u32) -> Answer<()> {
    let default = [0usize; 4];
    done(call(number::RT_SIGACTION, [signal as usize, address(&default), 0, size_of::<u64>(), 0, 0]))
}

/// Starts a session.
pub fn setsid() -> Answer<()> {
    done(call(number::SETSID, [0; 6]))
}

/// Sets the umask.
pub fn umask(mask: u32) {
    let _ = call(number::UMASK, [mask as usize, 0, 0, 0, 0, 0]);
}

/// `prctl` with up to two arguments.
pub fn prctl(option: usize, first: usize, second: usize) -> Answer<()> {
    done(call(number::PRCTL, [option, first, second, 0, 0, 0]))
}

/// `prctl` options.
pub mod prctl_option {
    pub const SET_DUMPABLE: usize = 4;
    pub const SET_KEEPCAPS: usize = 8;
    pub const CAPBSET_DROP: usize = 24;
    pub const SET_NO_NEW_PRIVS: usize = 38;
    pub const CAP_AMBIENT: usize = 47;
    pub const CAP_AMBIENT_RAISE: usize = 2;
    pub const CAP_AMBIENT_CLEAR_ALL: usize = 4;
}

/// Lets this process run on each CPU that its cgroup allows.
pub fn allow_all_cpus() -> Answer<()> {
    // More CPUs than any kernel supports.
    let all = [u64::MAX; 256];
    done(call(number::SCHED_SETAFFINITY, [0, size_of_val(&all), address(&all), 0, 0, 0]))
}

/// Sets a resource limit of this process.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Answer<()> {
    let limit = [soft, hard];
    done(call(number::PRLIMIT64, [0, resource as usize, address(&limit), 0, 0, 0]))
}

/// Sets the execution domain.
pub fn personality(domain: u64) -> Answer<()> {
    done(call(number::PERSONALITY, [domain as usize, 0, 0, 0, 0, 0]))
}

/// Sets the memory policy.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Answer<()> {
    // The kernel takes one bit less than it is told.
    let bits = nodes.len() * 64 + 1;
    done(call(number::SET_MEMPOLICY, [mode as usize, address(nodes), bits, 0, 0, 0]))
}

/// Sets real, effective and saved user ids.
pub fn setresuid(uid: u32) -> Answer<()> {
    let uid = uid as usize;
    done(call(number::SETRESUID, [uid, uid, uid, 0, 0, 0]))
}

/// Sets real, effective and saved group ids.
pub fn setresgid(gid: u32) -> Answer<()> {
    let gid = gid as usize;
    done(call(number::SETRESGID, [gid, gid, gid, 0, 0, 0]))
}

/// Sets the supplementary groups.
pub fn setgroups(groups: &[u32]) -> Answer<()> {
    done(call(number::SETGROUPS, [groups.len(), address(groups), 0, 0, 0, 0]))
}

/// Sets the effective, permitted and inheritable capability sets.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Answer<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let half = |shift: u32| [effective, permitted, inheritable].map(|set| (set >> shift) as u32);
    let data = [half(0), half(32)];
    done(call(number::CAPSET, [address(&header), address(&data), 0, 0, 0, 0]))
}

/// Joins a new session keyring of that name; answers its serial number.
pub fn join_session_keyring(name: &CStr) -> Answer<usize> {
    const JOIN_SESSION_KEYRING: usize = 1;
    call(number::KEYCTL, [JOIN_SESSION_KEYRING, text(name), 0, 0, 0, 0])
}

/// Sets a key's permissions.
pub fn set_key_permissions(key: usize, permissions: usize) -> Answer<()> {
    const SETPERM: usize = 5;
    done(call(number::KEYCTL, [SETPERM, key, permissions, 0, 0, 0]))
}

/// Enters a namespace, of the type that the flag names.
pub fn setns(namespace: &Fd, flag: usize) -> Answer<()> {
    done(call(number::SETNS, [namespace.0 as usize, flag, 0, 0, 0, 0]))
}

/// Leaves shared namespaces for new ones.
pub fn unshare(flags: usize) -> Answer<()> {
    done(call(number::UNSHARE, [flags, 0, 0, 0, 0, 0]))
}

/// Sets the host name.
pub fn sethostname(name: &CStr) -> Answer<()> {
    done(call(number::SETHOSTNAME, [text(name), name.to_bytes().len(), 0, 0, 0, 0]))
}

/// Sets the NIS domain name.
pub fn setdomainname(name: &CStr) -> Answer<()> {
    done(call(number::SETDOMAINNAME, [text(name), name.to_bytes().len(), 0, 0, 0, 0]))
}
