//! What can happen at which call.

use std::fmt;

use rustix::io::Errno;

/// Something that goes wrong, or is at least unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed instead of making the call.
    Kill,
    /// The process is killed when the call has been made.
    KillAfter,
    /// The call is not made and fails; if it lasts, so do all later ones of the same number.
    Error(Errno, Lasting),
    /// A call that reads or writes does so with one byte.
    Short,
    /// From here on a signal that means nothing comes with every call.
    Storm,
    /// The process stands still for a moment, by SIGSTOP.
    Stop,
}

/// For how long a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// This once.
    Once,
    /// From now on.
    Always,
}

/// One call of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// Which process, in the order of birth; the command is 0.
    pub process: usize,
    /// Which of its calls, counted from 1.
    pub ordinal: usize,
}

/// The errors that calls fail with.
pub const ERRORS: [(&str, Errno); 10] = [
    ("ENOMEM", Errno::NOMEM),
    ("EIO", Errno::IO),
    ("EINTR", Errno::INTR),
    ("EAGAIN", Errno::AGAIN),
    ("ENOSPC", Errno::NOSPC),
    ("EMFILE", Errno::MFILE),
    ("EPERM", Errno::PERM),
    ("ENOENT", Errno::NOENT),
    ("EBUSY", Errno::BUSY),
    ("ENODEV", Errno::NODEV),
];

/// The kinds of faults, by the words that choose them.
pub const KINDS: [&str; 7] = ["kill", "kill-after", "error", "lasting", "short", "storm", "stop"];

/// Calls that have no way to fail.
const UNFAILING: [libc::c_long; 22] = [
    // Where the clock can be read without a call, it is.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_uname,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getpgrp,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_umask,
    libc::SYS_alarm,
    libc::SYS_futex,
    libc::SYS_personality,
];

/// Calls that move bytes, in any number.
const TRANSFERS: [libc::c_long; 4] = [libc::SYS_read, libc::SYS_write, libc::SYS_pread64, libc::SYS_pwrite64];

impl Fault {
    /// All faults of a kind that make sense at a call with this number.
    pub fn of(kind: &str, call: u64) -> Vec<Fault> {
        let is_one_of = |list: &[libc::c_long]| list.iter().any(|&number| number as u64 == call);
        let errors = |lasting| ERRORS.map(|(_, errno)| Fault::Error(errno, lasting)).to_vec();
        match kind {
            "kill" => vec![Fault::Kill],
            "kill-after" => vec![Fault::KillAfter],
            "error" if !is_one_of(&UNFAILING) => errors(Lasting::Once),
            "lasting" if !is_one_of(&UNFAILING) => {
                let mut all = errors(Lasting::Always);
                // To try once more is right, and what the first two ask for; who is told of everything that it isn't there
                // has nothing to go by.
                let senseless = [Errno::INTR, Errno::AGAIN, Errno::NOENT];
                all.retain(|fault| !matches!(fault, Fault::Error(errno, _) if senseless.contains(errno)));
                all
            }
            "short" if is_one_of(&TRANSFERS) => vec![Fault::Short],
            "storm" => vec![Fault::Storm],
            "stop" => vec![Fault::Stop],
            _ => Vec::new(),
        }
    }

    /// The word that chooses it and its like.
    pub fn kind(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::KillAfter => "kill-after",
            Fault::Error(_, Lasting::Once) => "error",
            Fault::Error(_, Lasting::Always) => "lasting",
            Fault::Short => "short",
            Fault::Storm => "storm",
            Fault::Stop => "stop",
        }
    }

    /// Reads what [`Display`](fmt::Display) has written.
    pub fn named(name: &str) -> Option<Fault> {
        let (word, lasting) = match name.strip_suffix('+') {
            Some(word) => (word, Lasting::Always),
            None => (name, Lasting::Once),
        };
        let error = ERRORS.iter().find(|(text, _)| *text == word);
        let plain = [Fault::Kill, Fault::KillAfter, Fault::Short, Fault::Storm, Fault::Stop];
        error
            .map(|(_, errno)| Fault::Error(*errno, lasting))
            .or_else(|| plain.into_iter().find(|fault| fault.kind() == name))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault::Error(errno, lasting) = self else { return f.write_str(self.kind()) };
        let name = ERRORS.iter().find(|(_, known)| known == errno).map_or("?", |(name, _)| name);
        write!(f, "{name}{}", if *lasting == Lasting::Always { "+" } else { "" })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.process, self.ordinal)
    }
}

impl Point {
    /// Reads what [`Display`](fmt::Display) has written.
    pub fn named(text: &str) -> Option<Point> {
        let (process, ordinal) = text.split_once(':')?;
        Some(Point { process: process.parse().ok()?, ordinal: ordinal.parse().ok()? })
    }
}
