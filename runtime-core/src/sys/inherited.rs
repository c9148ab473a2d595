//! Descriptors that our caller left open for the container.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::{Errno, FdFlags};

use crate::error::{Error, Result};

/// The standard streams and the `preserved` descriptors from 3 on.
///
/// What we open ourselves is closed on execution; what came from our caller is not. So one of ours can't be taken for
/// a descriptor that the caller forgot to pass.
///
/// # Errors
/// One of them is not open, or is ours.
pub(crate) fn descriptors(preserved: u32) -> Result<Vec<BorrowedFd<'static>>> {
    let last = 3 + RawFd::try_from(preserved).unwrap_or(RawFd::MAX - 3);
    standard_streams()
        .into_iter()
        .map(Ok)
        .chain((3..last).map(|number| inherited(number, preserved)))
        .collect()
}

fn standard_streams() -> [BorrowedFd<'static>; 3] {
    // SAFETY: a program has these three open from its start (the standard library, or its own entry, sees to it) to its
    // end.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

fn inherited(number: RawFd, preserved: u32) -> Result<BorrowedFd<'static>> {
    let missing = |errno| Error::System {
        doing: format!("unable to stat preserved-fd {number} (of {preserved})"),
        errno,
    };
    // SAFETY: only asked about below; it is handed out when it is open and came from our caller, which keeps it for
    // as long as we run.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match rustix::io::fcntl_getfd(fd) {
        Ok(flags) if flags.contains(FdFlags::CLOEXEC) => Err(missing(Errno::BADF)),
        Ok(_) => Ok(fd),
        Err(errno) => Err(missing(errno)),
    }
}
