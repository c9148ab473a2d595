//! Children that have ended: our own, which are known by their descriptors, and strangers.
//!
//! A shim adopts what its containers leave behind. Only the library knows which children it has while it does something,
//! so nobody is reaped by number meanwhile.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

/// What a signal adds to its number when a program ends by it.
const BY_SIGNAL: u32 = 128;

/// How a program ends that SIGKILL ends.
pub(crate) const KILLED: u32 = BY_SIGNAL + 9;

/// Reaps a process of ours; its status, as containerd counts. `None` if it has not ended.
pub(crate) fn reap(process: BorrowedFd<'_>) -> Option<u32> {
    match waitid(WaitId::PidFd(process), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(Some(status)) => {
            let code = status.exit_status().map(i32::cast_unsigned);
            Some(code.or_else(|| status.terminating_signal().map(by_signal)).unwrap_or(KILLED))
        }
        Ok(None) | Err(Errno::INTR) => None,
        // The library has reaped it: it kills what was never started.
        Err(_) => Some(KILLED),
    }
}

/// Reaps the next child that has ended, whoever it is: its number and its status.
pub(crate) fn reap_any() -> Option<(i32, u32)> {
    let (pid, status) = wait(WaitOptions::NOHANG).ok()??;
    Some((pid.as_raw_pid(), of(status)))
}

fn of(status: WaitStatus) -> u32 {
    let code = status.exit_status().map(i32::cast_unsigned);
    code.or_else(|| status.terminating_signal().map(by_signal)).unwrap_or(KILLED)
}

fn by_signal(signal: i32) -> u32 {
    BY_SIGNAL + signal.unsigned_abs()
}
