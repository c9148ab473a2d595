//! A process of a container that this process has started.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus};

use super::Terminal;
use super::stdio::Pipes;
use crate::error::{Context, Error, Result};
use crate::launch::Process as Launched;
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

/// A process of a container, the first or a further one, of which this process is the parent.
///
/// It is a descriptor (`AsFd`, `AsRawFd`) that becomes readable when the process has ended, so that any event loop can wait
/// for it.
/// Dropping it neither ends nor reaps the process.
#[derive(Debug)]
pub struct Process {
    process: Launched,
    pipes: Pipes,
}

impl Process {
    pub(super) fn new(process: Launched, pipes: Pipes) -> Self {
        Process { process, pipes }
    }

    /// The process, as this process numbers it.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.pid.cast_signed()).unwrap_or(Pid::INIT)
    }

    /// The process; readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// The other end of its standard input, once, if that is a [`Stream::Pipe`](super::Stream::Pipe).
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        self.pipes.stdin.take()
    }

    /// The other end of its standard output, once, if that is a pipe.
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        self.pipes.stdout.take()
    }

    /// The other end of its standard error, once, if that is a pipe.
    pub fn take_stderr(&mut self) -> Option<PipeReader> {
        self.pipes.stderr.take()
    }

    /// The master of its terminal, once: if it has one, and [`Console::Caller`](super::Console::Caller) was to get it. The
    /// program is hung up when it is closed.
    pub fn take_terminal(&mut self) -> Option<Terminal> {
        self.process.terminal.take().map(Terminal::new)
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

    /// The same, but not for longer than `time`: then it has not ended, and this is `None`.
    ///
    /// # Errors
    /// As for [`Process::wait`].
    pub fn wait_for(&self, time: Duration) -> Result<Option<Exit>> {
        match sys::process::wait_for_end(self.pidfd(), time) {
            true => self.wait().map(Some),
            false => Ok(None),
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd().as_raw_fd()
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
