//! Signals as messages, for a program that stands in front of a container: it blocks them all, reads them from a
//! queue, and passes them on.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;

use crate::error::{Context, Result};

/// Lets children that have ended wait to be asked about, whatever our caller has chosen: where SIGCHLD is ignored, the
/// kernel forgets them at once, with how they ended.
pub fn heed_children() {
    // SAFETY: the call takes numbers, and the default runs nothing.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// All signals of this thread are blocked while this lives; so are those of the threads and processes that it starts.
/// What was blocked before is restored at the end.
#[derive(Debug)]
#[must_use = "the signals are blocked only while this lives"]
pub struct Blocked {
    former: libc::sigset_t,
}

/// Blocks every signal that can be blocked (not SIGKILL, SIGSTOP, and those that libc keeps for itself).
pub fn block_all() -> Blocked {
    // The kernel fills only the part of it that it knows.
    // SAFETY: all zeros is a set, the empty one.
    let mut former = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: both pointers lead to a sigset_t that lives through the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all(), &mut former) };
    Blocked { former }
}

impl Blocked {
    /// The queue of this process's signals from now on.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn queue(&self) -> Result<Queue> {
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &all(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(last_errno()).doing(|| "cannot open a queue of signals".into());
        }
        // SAFETY: the kernel just made this descriptor, and nothing else knows its number.
        Ok(Queue(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if is_all(&self.former) {
            return;
        }
        // SAFETY: the set was filled by the kernel; a null pointer says that the present one isn't wanted.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.former, ptr::null_mut()) };
    }
}

/// Signals that wait to be read. Its descriptor is readable when there is one.
#[derive(Debug)]
pub struct Queue(OwnedFd);

impl Queue {
    /// The number of the next signal; none when no signal waits.
    ///
    /// # Errors
    /// The kernel refuses to read the queue.
    pub fn next(&self) -> Result<Option<i32>> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut record) {
            Err(Errno::AGAIN) => Ok(None),
            // The record begins with the signal's number.
            read => read.map(|_| record.first_chunk().map(|number| i32::from_ne_bytes(*number))),
        }
        .doing(|| "cannot read the queue of signals".into())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ends the zombies among this process's children, apart from `spared`, whose status somebody still wants. A subreaper
/// inherits children that it never made. Stops early when `spared` itself has ended: then there is no need to go on.
pub fn reap_strays(spared: rustix::process::Pid) {
    while let Some(pid) = zombie().filter(|pid| *pid != spared) {
        let ours = rustix::process::WaitId::Pid(pid);
        if rustix::process::waitid(ours, rustix::process::WaitIdOptions::EXITED).is_err() {
            break;
        }
    }
}

// A child that has ended and still waits for somebody to ask.
fn zombie() -> Option<rustix::process::Pid> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer leads to a siginfo_t that lives through the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) };
    // SAFETY: zeroes are a valid siginfo_t, and the kernel writes nothing but valid ones.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in the fields of SIGCHLD, or leaves the zeroes.
    let pid = unsafe { info.si_pid() };
    rustix::process::Pid::from_raw(pid).filter(|_| result == 0)
}

fn all() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer leads to a sigset_t.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: sigfillset can't fail with a valid pointer, so it filled the set.
    unsafe { set.assume_init() }
}

fn has(set: &libc::sigset_t, signal: i32) -> bool {
    // SAFETY: the set is initialised.
    unsafe { libc::sigismember(set, signal) == 1 }
}

// Nothing is left to restore then. SIGKILL and SIGSTOP are in no set of the kernel's.
fn is_all(set: &libc::sigset_t) -> bool {
    let all = all();
    let mut blockable = (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal));
    blockable.all(|signal| !has(&all, signal) || has(set, signal))
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    // To this thread alone: the other tests run in the same process.
    fn raise(signal: i32) {
        // SAFETY: it takes nothing and always succeeds.
        let thread = unsafe { libc::pthread_self() };
        // SAFETY: the thread is this one, so it lives.
        unsafe { libc::pthread_kill(thread, signal) };
    }

    fn blocked_now() -> libc::sigset_t {
        let mut set = all();
        // SAFETY: a null pointer changes nothing; the other one leads to a sigset_t.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), &mut set) };
        set
    }

    #[test]
    fn blocked_signals_are_read_in_turn_and_the_mask_comes_back() {
        let blocked = block_all();
        assert!(has(&blocked_now(), libc::SIGTERM));
        let queue = blocked.queue().unwrap();
        assert_eq!(queue.next().unwrap(), None);
        raise(libc::SIGUSR1);
        raise(libc::SIGTERM);
        let mut read = [queue.next().unwrap(), queue.next().unwrap()];
        read.sort_unstable();
        assert_eq!(read, [Some(libc::SIGUSR1), Some(libc::SIGTERM)]);
        assert_eq!(queue.next().unwrap(), None);
        drop(blocked);
        assert!(!has(&blocked_now(), libc::SIGTERM));
    }

    // In a process of its own, since it waits for children that other tests may have.
    #[test]
    #[expect(clippy::zombie_processes, reason = "zombies are what this is about")]
    fn strays_are_reaped_and_the_spared_child_is_not() {
        if std::env::var_os("REAP_STRAYS_CHILD").is_none() {
            let me = std::env::current_exe().unwrap();
            let name = "sys::signals::tests::strays_are_reaped_and_the_spared_child_is_not";
            let status =
                std::process::Command::new(me).args([name, "--exact"]).env("REAP_STRAYS_CHILD", "1").output();
            let output = status.unwrap();
            assert!(output.status.success(), "{output:?}");
            return;
        }
        let ended = |status| {
            let child = std::process::Command::new("sh").args(["-c", status]).spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
            pid
        };
        let (stray, spared) = (ended("exit 1"), ended("exit 7"));
        reap_strays(spared);
        assert_eq!(waitid(WaitId::Pid(stray), WaitIdOptions::EXITED).unwrap_err(), Errno::CHILD);
        let status = waitid(WaitId::Pid(spared), WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7));
    }
}
