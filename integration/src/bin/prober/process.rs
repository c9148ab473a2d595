//! What exec has handed down.

use std::ffi::CStr;
use std::os::unix::ffi::OsStringExt;

use serde_json::{Map, Value, json};

use crate::{errno, errno_name};

const RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// Soft and hard limit by name.
pub fn rlimits() -> Value {
    let limit = |(number, name): (u32, &&str)| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call writes one limit.
        unsafe { libc::getrlimit(number, &raw mut limit) };
        ((*name).to_owned(), json!({"soft": limit.rlim_cur, "hard": limit.rlim_max}))
    };
    Value::Object((0..).zip(&RLIMITS).map(limit).collect::<Map<_, _>>())
}

/// The CPUs that the process may use.
pub fn affinity() -> Value {
    // SAFETY: all zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is as large as is said.
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: 1024 is the size of the set.
    json!((0..1024).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect::<Vec<_>>())
}

/// The execution domain.
pub fn personality() -> Value {
    // SAFETY: this value asks and changes nothing.
    json!(unsafe { libc::personality(0xffff_ffff) })
}

/// Scheduling policy, nice value and I/O priority.
pub fn scheduler() -> Value {
    // SAFETY: these calls take numbers only.
    let (policy, nice) = unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
    // SAFETY: as above; 1 means "a process".
    let io = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
    json!({"policy": policy, "nice": nice, "io": io})
}

/// The memory policy, and the nodes that it names.
pub fn memory_policy() -> Value {
    let (mut mode, mut nodes) = (0_i32, [0_u64; 16]);
    // SAFETY: the call writes a number, and as many bits as are said.
    let done = unsafe {
        let bits = size_of_val(&nodes) * 8;
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), bits, 0, 0)
    };
    let named: Vec<_> = (0..1024).filter(|node| nodes[node / 64] & 1 << (node % 64) != 0).collect();
    if done == 0 { json!({"mode": mode, "nodes": named}) } else { json!(errno_name(errno())) }
}

/// What a process keeps for its traits: whether it may be dumped, the signal at its parent's death, its timers' slack,
/// how many threads it has, which processes it sees.
pub fn traits() -> Value {
    let asked = |option| {
        let mut number = 0_i32;
        // SAFETY: these two options write one number.
        unsafe { libc::prctl(option, &raw mut number, 0_u64, 0_u64, 0_u64) };
        number
    };
    let answered = |option| {
        // SAFETY: these two options touch nothing.
        unsafe { libc::prctl(option, 0_u64, 0_u64, 0_u64, 0_u64) }
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    json!({
        "dumpable": answered(libc::PR_GET_DUMPABLE), "slack": answered(libc::PR_GET_TIMERSLACK),
        "deathSignal": asked(libc::PR_GET_PDEATHSIG), "subreaper": asked(libc::PR_GET_CHILD_SUBREAPER),
        "threads": crate::files::status("Threads"), "processes": processes,
        "name": std::fs::read_to_string("/proc/self/comm").unwrap_or_default().trim(),
        "exe": std::fs::read_link("/proc/self/exe").unwrap_or_default().to_string_lossy(),
    })
}

/// The network interfaces, and whether the loopback one works.
pub fn interfaces() -> Value {
    let table = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let mut names: Vec<_> = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    names.sort_unstable();
    let works = std::net::UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.send_to(b"?", ("127.0.0.1", 9)).map(drop))
        .is_ok();
    json!({"names": names, "loopback": works})
}

/// The file mode creation mask.
pub fn umask() -> Value {
    // SAFETY: the call cannot fail, and nothing is created between the two.
    let mask = unsafe { libc::umask(0o77) };
    // SAFETY: as above.
    unsafe { libc::umask(mask) };
    json!(mask)
}

/// The working directory as the kernel spells it.
pub fn cwd() -> Value {
    let path = std::env::current_dir();
    json!(path.map_or_else(|error| error.to_string(), |path| path.to_string_lossy().into_owned()))
}

/// The environment, in its order.
pub fn environment() -> Value {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let bytes = [name.into_vec(), value.into_vec()].join(&b'=');
        String::from_utf8_lossy(&bytes).into_owned()
    };
    json!(std::env::vars_os().map(text).collect::<Vec<_>>())
}

/// The arguments.
pub fn arguments() -> Value {
    json!(std::env::args_os().map(|one| one.to_string_lossy().into_owned()).collect::<Vec<_>>())
}

/// Which of the first three descriptors are terminals, and whether there is a controlling one.
pub fn terminals() -> Value {
    // SAFETY: the call takes a number.
    let terminal = |number| unsafe { libc::isatty(number) } == 1;
    let controlling = std::fs::File::open("/dev/tty").is_ok();
    json!({"stdio": [terminal(0), terminal(1), terminal(2)], "controlling": controlling})
}

/// Whether a key can be pushed into the terminal at standard input, as if somebody had pressed it.
pub fn push() -> bool {
    let key = b'x';
    // SAFETY: the call reads one byte, which outlives it.
    unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const key) == 0 }
}

/// The description of the session keyring, or why there is none.
pub fn keyring() -> Value {
    const DESCRIBE: i32 = 6;
    const SESSION: i32 = -3;
    let mut text = [0_u8; 256];
    // SAFETY: the call writes at most that many bytes.
    let length = unsafe { libc::syscall(libc::SYS_keyctl, DESCRIBE, SESSION, text.as_mut_ptr(), text.len()) };
    match length {
        1.. => json!(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy()),
        _ => json!(errno_name(errno())),
    }
}

/// Host name and domain name.
pub fn names() -> Value {
    let host = rustix::system::uname();
    let domain = std::fs::read_to_string("/proc/sys/kernel/domainname").unwrap_or_default();
    json!({"host": host.nodename().to_string_lossy(), "domain": domain.trim()})
}

/// Signals that are ignored or blocked, as bits. Not said: SIGPIPE, which the prober's own start ignores, and the two
/// that C libraries keep for themselves and pass on as ignored when they spawn.
pub fn signals() -> Value {
    const OURS: u64 = 1 << (libc::SIGPIPE - 1) | 1 << 31 | 1 << 32;
    let set = |name| {
        let text = crate::files::status(name);
        let bits = u64::from_str_radix(text.as_str().unwrap_or_default(), 16).unwrap_or(u64::MAX);
        bits & !OURS
    };
    json!({"ignored": set("SigIgn"), "blocked": set("SigBlk")})
}

/// Process id, parent, group and session.
pub fn session() -> Value {
    // SAFETY: these calls take and touch nothing.
    let (pid, parent, group, session) =
        unsafe { (libc::getpid(), libc::getppid(), libc::getpgrp(), libc::getsid(0)) };
    let leads = pid == group && pid == session;
    json!({"pid": pid, "parent": parent, "group": group, "session": session, "leads": leads})
}
