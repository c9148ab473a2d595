//! A container whose program this process waits for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

use super::{PATIENCE, delete};
use crate::error::{Context, Error, Result};
use crate::launch::Process;
use crate::state::{Record, Unlocked};
use crate::sys;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself, with this status.
    Code(u8),
    /// A signal ended it.
    Signal(i32),
}

/// A running container of which this process is the parent.
#[derive(Debug)]
pub struct Running {
    process: Process,
    record: Record,
    place: Unlocked,
}

impl Running {
    pub(super) fn new(process: Process, record: Record, place: Unlocked) -> Self {
        Running { process, record, place }
    }

    /// The first process, as this process numbers it.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.pid.cast_signed()).unwrap_or(Pid::INIT)
    }

    /// The first process; readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// The master of the program's terminal, once: if it has one, and [`Console::Caller`](super::Console::Caller) was to
    /// get it. The program is hung up when it is closed.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.process.terminal.take()
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    /// It has ended, or the signal is none.
    pub fn signal(&self, signal: i32) -> Result<()> {
        sys::process::send_signal(self.pidfd(), signal).doing(|| format!("cannot send signal {signal}"))
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

    /// Waits until the first process has ended, and reaps it.
    ///
    /// # Errors
    /// Somebody else has reaped it.
    pub fn wait(&self) -> Result<Exit> {
        wait(&self.process)
    }
}

/// A further process of a container of which this process is the parent.
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

    /// The master of its terminal, if it has one that was meant for the caller; once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.process.terminal.take()
    }

    /// The process; readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
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
        wait(&self.process)
    }
}

fn wait(process: &Process) -> Result<Exit> {
    let answer = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED)
    });
    let status = answer.doing(|| "cannot wait for the container".into())?;
    let exit = status.as_ref().and_then(exit);
    exit.ok_or_else(|| Error::Died("the container ended in an unknown way".into()))
}

fn exit(status: &WaitIdStatus) -> Option<Exit> {
    let code = status.exit_status().map(|code| Exit::Code((code & 0xff) as u8));
    code.or_else(|| status.terminating_signal().map(Exit::Signal))
}
