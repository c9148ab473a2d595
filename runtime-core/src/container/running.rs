//! A container whose program this process waits for.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

use super::{PATIENCE, delete};
use crate::error::{Context, Error, Result};
use crate::launch::Process;
use crate::notify::Proxy;
use crate::state::{End, Record, Unlocked};
use crate::sys;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It ended by itself, with this status.
    Code(u8),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// What `wait` tells.
    pub(super) fn of_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Exit::Code((status >> 8 & 0xff) as u8),
            signal => Exit::Signal(signal),
        }
    }
}

/// A running container of which this process is the parent. It is its first process, and what belongs to that.
#[derive(Debug)]
pub struct Running {
    first: Executed,
    record: Record,
    place: Unlocked,
    notify: Option<Proxy>,
}

impl Running {
    pub(super) fn new(process: Process, record: Record, place: Unlocked, notify: Option<Proxy>) -> Self {
        Running { first: Executed::new(process), record, place, notify }
    }

    /// The socket at which the program tells its readiness, if somebody wants to hear of it; readable when it has.
    pub fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.notify.as_ref().map(AsFd::as_fd)
    }

    /// Passes on what has come at [`Running::readiness`] to the service manager.
    ///
    /// # Errors
    /// It can't be reached any more.
    pub fn pass_on_readiness(&self) -> Result<()> {
        self.notify.as_ref().map_or(Ok(()), |notify| notify.pass_on().map(drop))
    }

    /// Passes on what the program says until it is ready, or has ended, and makes its first process the service's main
    /// one: for a caller that ends before the container does.
    ///
    /// # Errors
    /// The service manager can't be reached any more, or doesn't answer for half a minute.
    pub fn wait_until_ready(&self) -> Result<()> {
        let pid = self.pid().as_raw_pid();
        self.notify.as_ref().map_or(Ok(()), |notify| notify.wait_until_ready(self.pidfd(), pid))
    }

    /// Whether the kernel killed a process of the container because it ran out of memory. To be asked before the
    /// container is deleted.
    pub fn ran_out_of_memory(&self) -> bool {
        self.record.cgroup.oom_kills().is_some_and(|count| count > 0)
    }

    /// Removes the container, whose first process has ended.
    ///
    /// # Errors
    /// Something can't be removed. That somebody else has removed it is no error.
    pub fn delete(self) -> Result<()> {
        match self.place.lock(PATIENCE)? {
            Some(entry) => delete::remove_stopped(entry, &self.record),
            None => Ok(()),
        }
    }

    /// Leaves the container, whose first process has ended, to `delete`, and keeps how it ended for those who ask.
    ///
    /// # Errors
    /// That can't be written. That somebody else has removed the container is no error.
    pub fn leave(self, exit: Exit) -> Result<()> {
        let end = End::seen_now(&self.record.id, exit, self.ran_out_of_memory());
        match self.place.lock(PATIENCE)? {
            Some(entry) => entry.write_end(&end),
            None => Ok(()),
        }
    }
}

impl Deref for Running {
    type Target = Executed;

    fn deref(&self) -> &Executed {
        &self.first
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Executed {
        &mut self.first
    }
}

/// A process of a container, the first or a further one, of which this process is the parent.
#[derive(Debug)]
pub struct Executed {
    process: Process,
}

impl Executed {
    pub(super) fn new(process: Process) -> Self {
        Executed { process }
    }

    /// The process, as this process numbers it.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.pid.cast_signed()).unwrap_or(Pid::INIT)
    }

    /// The process; readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// The master of its terminal, once: if it has one, and [`Console::Caller`](super::Console::Caller) was to get it. The
    /// program is hung up when it is closed.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.process.terminal.take()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended, or the signal is none.
    pub fn signal(&self, signal: i32) -> Result<()> {
        sys::process::send_signal(self.pidfd(), signal).doing(|| format!("cannot send signal {signal}"))
    }

    /// Waits until it has ended, and reaps it.
    ///
    /// # Errors
    /// Somebody else has reaped it.
    pub fn wait(&self) -> Result<Exit> {
        let answer = rustix::io::retry_on_intr(|| {
            rustix::process::waitid(WaitId::PidFd(self.pidfd()), WaitIdOptions::EXITED)
        });
        let status = answer.doing(|| "cannot wait for the container".into())?;
        let exit = status.as_ref().and_then(exit);
        exit.ok_or_else(|| Error::Died("the container ended in an unknown way".into()))
    }
}

fn exit(status: &WaitIdStatus) -> Option<Exit> {
    let code = status.exit_status().map(|code| Exit::Code((code & 0xff) as u8));
    code.or_else(|| status.terminating_signal().map(Exit::Signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_status_tells_codes_and_signals() {
        assert_eq!([0, 0x300, 0xff00].map(Exit::of_status), [0, 3, 255].map(Exit::Code));
        // The second one left a core dump.
        assert_eq!([9, 0x80 | 11].map(Exit::of_status), [9, 11].map(Exit::Signal));
    }
}
