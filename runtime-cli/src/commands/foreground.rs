//! What a command does while a program of a container runs in front of it.

use std::os::fd::{AsFd, BorrowedFd};

use runtime_core::container::Exit;
use runtime_core::error::Context;
use runtime_core::signals::{self, Queue};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};

use crate::failure::Failure;
use crate::terminal::{Relay, asks_for_end};

/// A program, and what goes between it and others.
pub(super) struct Attended<'a> {
    /// Its process; readable when it has ended.
    pub(super) pidfd: BorrowedFd<'a>,
    /// Its process id.
    pub(super) pid: Pid,
    /// Signals that are meant for it.
    pub(super) signals: &'a Queue,
    /// Hands it a signal.
    pub(super) pass_on: &'a dyn Fn(i32),
    /// What stands in front of its terminal.
    pub(super) relay: Option<Relay>,
    /// Where it tells that it is ready.
    pub(super) readiness: Option<Readiness<'a>>,
}

/// A program that may tell its readiness, and what is done then.
pub(super) struct Readiness<'a> {
    pub(super) socket: BorrowedFd<'a>,
    pub(super) pass_on: &'a dyn Fn(),
}

impl Attended<'_> {
    /// Until the program has ended, hands on what comes for it and from it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn until_its_end(mut self) -> Result<(), Failure> {
        let mut hurried = false;
        loop {
            // Without readiness there is nothing else to wait for than its end, once more.
            let told = self.readiness.as_ref().map_or(self.pidfd, |readiness| readiness.socket);
            let others = [self.pidfd, self.signals.as_fd(), told];
            let [ended, _, told] = match &mut self.relay {
                Some(relay) => relay.wait(others)?,
                None => wait(others)?,
            };
            // Also what a program has said as its last word.
            if let (Some(readiness), true) = (&self.readiness, told) {
                (readiness.pass_on)();
            }
            if ended {
                return self.relay.map_or(Ok(()), |relay| relay.finish(self.signals, hurried));
            }
            // One at a time: they may come as fast as they are taken, and everything else would wait.
            if let Some(signal) = self.signals.next()? {
                hurried |= asks_for_end(signal);
                self.hand_on(signal);
            }
        }
    }

    fn hand_on(&mut self, signal: i32) {
        match (Signal::from_named_raw(signal), &mut self.relay) {
            (Some(Signal::CHILD), _) => signals::reap_strays(self.pid),
            // The window may have changed, or this process may have come to the foreground.
            (Some(Signal::WINCH), Some(relay)) => relay.resize(),
            (Some(Signal::CONT), Some(relay)) => {
                relay.resume();
                (self.pass_on)(signal);
            }
            // SIGPIPE comes from our own writing to somebody who doesn't listen any more.
            (Some(Signal::PIPE), Some(_)) => {}
            // SIGURG is about this process's own sockets, SIGWINCH about a terminal that the container lacks.
            (Some(Signal::URG | Signal::WINCH), _) => {}
            _ => (self.pass_on)(signal),
        }
    }
}

fn wait(others: [BorrowedFd<'_>; 3]) -> Result<[bool; 3], Failure> {
    let mut ready = others.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll(&mut ready, None).doing(|| "cannot wait for the container".into())?;
    Ok(ready.map(|each| !each.revents().is_empty()))
}

/// The exit status that tells of an end, as in shells.
pub(super) fn status(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn a_signal_is_an_exit_status_above_128() {
        assert_eq!(status(Exit::Code(3)), 3);
        assert_eq!(status(Exit::Signal(9)), 137);
    }

    #[test]
    fn attending_ends_with_the_process() {
        let blocked = signals::block_all();
        let queue = blocked.queue().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        drop(child.stdin.take());
        let pidfd = pidfd.as_fd();
        let attended =
            Attended { pidfd, pid, signals: &queue, pass_on: &|_| (), relay: None, readiness: None };
        attended.until_its_end().unwrap();
        assert!(child.wait().unwrap().success());
    }
}
