//! Processes and threads: their births and ends.

use super::arch::{clone_thread, number};
use super::calls::{Answer, Fd, address, address_mut, answer, call, done};
use super::program::words;

/// Which side of a birth this is.
pub enum Birth {
    /// The one that was there before.
    Parent {
        /// The newborn's id in this process's pid namespace.
        pid: u32,
        /// The newborn.
        pidfd: Fd,
    },
    /// The new one, with a copy of the memory.
    Newborn,
}

/// Bears a child of our parent.
pub fn bear_sibling() -> Answer<Birth> {
    const CLONE_PARENT: usize = 0x8000;
    const CLONE_PIDFD: usize = 0x1000;
    let mut pidfd = -1i32;
    match call(number::CLONE, [CLONE_PARENT | CLONE_PIDFD, 0, address_mut(&mut pidfd), 0, 0, 0])? {
        0 => Ok(Birth::Newborn),
        pid => Ok(Birth::Parent { pid: pid as u32, pidfd: Fd(pidfd) }),
    }
}

/// Starts a thread of this process, without its system call filters to come. It never returns.
pub fn start_thread(body: extern "C" fn() -> !) -> Answer<()> {
    /// CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD
    const THREAD: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000;
    let stack = words(2048)?;
    // SAFETY: the flags are a thread's, and its stack is fresh memory in whole pages.
    done(answer(unsafe { clone_thread(THREAD, address(stack) + size_of_val(stack), body) }))
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    loop {
        let _ = call(number::EXIT, [0; 6]);
    }
}

/// Lets somebody else run.
pub fn give_way() {
    let _ = call(number::SCHED_YIELD, [0; 6]);
}

/// Kills a process, if it lives.
pub fn kill(process: &Fd) {
    const SIGKILL: usize = 9;
    let _ = call(number::PIDFD_SEND_SIGNAL, [process.0 as usize, SIGKILL, 0, 0, 0, 0]);
}
