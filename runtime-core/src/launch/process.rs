//! The process that a launch makes: talked with, finished, or ended.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::clone::Newborn;
use super::dialogue::{Dialogue, Heard};
use super::report::unexpected;
use crate::error::Error;
use crate::plan::Plan;
use crate::sys::process::{rest, wait_for_end};

/// How long a killed process has to disappear.
pub(super) const DEATH: Duration = Duration::from_secs(10);

/// The container's first process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its id in our pid namespace.
    pub(crate) pid: u32,
    /// The process itself, whatever becomes of its id.
    pub(crate) pidfd: OwnedFd,
    /// The master of its terminal, if it has one and the plan left it to the caller.
    pub(crate) terminal: Option<OwnedFd>,
}

/// A process with which we talk. The dialogue comes first: closing it is what makes a waiting child leave our memory.
pub(super) struct Born {
    pub(super) dialogue: Dialogue,
    pub(super) memory: Option<Newborn>,
    pub(super) process: Process,
    /// What the process was before it was born once more.
    pub(super) former: Option<OwnedFd>,
}

impl Born {
    /// The process, about which there is nothing more to say.
    pub(super) fn finished(self) -> Process {
        self.former.iter().for_each(reap);
        self.process
    }

    /// Ends the process after an error, and says what the error was: when the dialogue broke off, init may have said
    /// why before.
    pub(super) fn end(self, plan: &Plan, error: Error) -> Error {
        // First of all: a process that lives and says nothing would be listened to for ever.
        let _ = rustix::process::pidfd_send_signal(&self.process.pidfd, rustix::process::Signal::KILL);
        let error = match error {
            Error::System { errno: Errno::PIPE | Errno::CONNRESET, .. } => {
                unexpected(plan, self.dialogue.hear().unwrap_or(Heard::End))
            }
            error => error,
        };
        drop(self.dialogue);
        self.process.end();
        self.former.iter().for_each(end);
        reap_unannounced(self.process.pid);
        error
    }
}

impl Process {
    /// Kills the process and waits until it is gone.
    pub(crate) fn end(&self) {
        end(&self.pidfd);
    }
}

/// Kills a child and waits until it is gone; one that can't die is left to `delete --force`.
fn end(child: &OwnedFd) {
    let _ = rustix::process::pidfd_send_signal(child, rustix::process::Signal::KILL);
    if wait_for_end(child.as_fd(), DEATH) {
        reap(child);
    }
}

/// Waits for the end of a child that was born by this one and that nobody has told us of: it is in the other's process
/// group, and ends by itself when the dialogue does. As long as it isn't reaped, a container that it is in can't end.
fn reap_unannounced(pid: u32) {
    // Without a number it would be our own group.
    let Some(group) = Pid::from_raw(pid.cast_signed()) else { return };
    let deadline = Instant::now() + DEATH;
    while let Ok(None) = waitid(WaitId::Pgid(Some(group)), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        && Instant::now() < deadline
    {
        rest(Duration::from_millis(1));
    }
}

/// Waits for the end of a child.
fn reap(child: &OwnedFd) {
    // An engine's own reaper may have been faster.
    let _ = waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED);
}
