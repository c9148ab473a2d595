//! Descriptors that our caller left open for the container.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags};

use crate::error::{Error, Result};

/// The first number after the standard streams.
const FIRST: RawFd = 3;

/// The standard streams; from 3 on the sockets of a service manager; then what is to be preserved.
///
/// What we open ourselves is closed on execution; what came from our caller is not. So one of ours can't be taken for
/// a descriptor that the caller forgot to pass.
///
/// # Errors
/// One of them is not open, or is ours.
pub(crate) fn descriptors(listening: u32, preserved: u32) -> Result<Vec<BorrowedFd<'static>>> {
    let first_preserved = FIRST.saturating_add_unsigned(listening);
    let of_manager = (0..listening).map(|index| inherited("LISTEN_FDS descriptor", FIRST, index, listening));
    let of_caller = (0..preserved).map(|index| inherited("preserved-fd", first_preserved, index, preserved));
    standard_streams().into_iter().map(Ok).chain(of_manager).chain(of_caller).collect()
}

fn standard_streams() -> [BorrowedFd<'static>; 3] {
    // SAFETY: a program has these three open from its start (the standard library, or its own entry, sees to it) to its
    // end.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

fn inherited(what: &str, first: RawFd, index: u32, count: u32) -> Result<BorrowedFd<'static>> {
    let number = first.saturating_add_unsigned(index);
    // Callers know these words from other runtimes.
    let missing = || Error::System {
        doing: format!("unable to stat {what} {index} (of {count}): stat /proc/self/fd/{number}"),
        errno: Errno::NOENT,
    };
    // SAFETY: only asked about below; it is handed out when it is open and came from our caller, which keeps it for
    // as long as we run.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match rustix::io::fcntl_getfd(fd) {
        Ok(flags) if !flags.contains(FdFlags::CLOEXEC) => Ok(fd),
        _ => Err(missing()),
    }
}
