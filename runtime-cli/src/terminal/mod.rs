//! The caller's terminal in front of the container's: raw, of the same size, and both copied into each other.

mod flow;
mod host;
#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use clap::ArgMatches;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use rustix::termios::SpecialCodeIndex;

use crate::absolute;
use crate::args::path_of;
use crate::failure::Failure;
use flow::Flow;
pub(crate) use host::size;
use host::{Host, Raw};
use runtime_core::container::Console;
use runtime_core::error::Context;
use runtime_core::signals::Queue;

/// Who gets the terminal of a process, by `--console-socket` and whether this command leaves it to itself.
///
/// # Errors
/// RUNC-COMPAT: those of runc, in its words, which engines and their tests know.
pub(crate) fn console(matches: &ArgMatches, terminal: bool, detached: bool) -> Result<Console, Failure> {
    let socket = path_of(matches, "console-socket").filter(|path| !path.as_os_str().is_empty());
    let problem = match (socket, terminal && detached) {
        (Some(socket), true) => return socket_console(socket),
        (None, false) => return Ok(Console::Caller { size: terminal.then(size).flatten() }),
        (None, true) => "cannot allocate tty if runc will detach without setting console socket",
        (Some(_), false) => "cannot use console socket if runc will not detach or allocate tty",
    };
    Err(Failure::Refused(problem.into()))
}

fn socket_console(socket: &Path) -> Result<Console, Failure> {
    absolute(socket).map(Console::Socket)
}

/// Copies between the standard streams and the master of a terminal.
///
/// Nothing is read before what was read last has been written: whoever reads slowly slows the writer down.
pub(crate) struct Relay {
    // None after the other side of the output is gone: closing it hangs the program up.
    master: Option<OwnedFd>,
    // As long as it is open, the program may close its terminal and open it again.
    held: Option<OwnedFd>,
    host: Host,
    raw: Raw,
    input: Flow,
    output: Flow,
    input_ended: bool,
}

/// Something that the relay waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Input,
    Master,
    Output,
}

impl Relay {
    /// Stands between the standard streams and a terminal. The caller's terminal is raw while this lives.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new(master: OwnedFd) -> Result<Self, Failure> {
        Relay::between(master, Host::standard_streams()?)
    }

    fn between(master: OwnedFd, host: Host) -> Result<Self, Failure> {
        let doing = || "cannot stand before the terminal".to_string();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let held = rustix::pty::ioctl_tiocgptpeer(&master, flags).doing(doing)?;
        rustix::fs::fcntl_setfl(&master, OFlags::NONBLOCK).doing(doing)?;
        let mut relay = Relay {
            master: Some(master),
            held: Some(held),
            raw: Raw::default(),
            input_ended: host.has_no_input(),
            host,
            input: Flow::default(),
            output: Flow::default(),
        };
        relay.resume();
        Ok(relay)
    }

    /// Takes the caller's terminal in hand (again): this process came to its foreground, or hasn't left it.
    pub(crate) fn resume(&mut self) {
        self.raw.enter(&self.host.input);
        self.resize();
    }

    /// Gives the container's terminal the size of the caller's.
    pub(crate) fn resize(&self) {
        if let (Some(master), Some(size)) = (&self.master, self.host.window()) {
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }

    /// Copies until one of `others` is readable; says which.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn wait<const N: usize>(&mut self, others: [BorrowedFd<'_>; N]) -> Result<[bool; N], Failure> {
        loop {
            let (readable, ready) = self.poll(others, None)?;
            ready.into_iter().for_each(|end| self.serve(end));
            if readable.contains(&true) {
                return Ok(readable);
            }
        }
    }

    // What isn't wanted isn't polled at all: a hang-up is always told, and would never let us rest.
    fn poll<const N: usize>(
        &self,
        others: [BorrowedFd<'_>; N],
        patience: Option<&Timespec>,
    ) -> Result<([bool; N], Vec<End>), Failure> {
        let (ends, wanted): (Vec<End>, Vec<PollFd<'_>>) = self.wanted().into_iter().unzip();
        let mut polled: Vec<PollFd<'_>> =
            others.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).chain(wanted).collect();
        match poll(&mut polled, patience) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => Err(errno).doing(|| "cannot wait for the container".into())?,
        }
        let mut happened = polled.iter().map(|each| !each.revents().is_empty());
        let readable = [(); N].map(|()| happened.next().unwrap_or(false));
        let ready = ends.into_iter().zip(happened).filter(|(_, ready)| *ready).map(|(end, _)| end).collect();
        Ok((readable, ready))
    }

    fn wanted(&self) -> Vec<(End, PollFd<'_>)> {
        let Some(master) = &self.master else { return Vec::new() };
        let read_input = self.input.is_empty() && !self.input_ended;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.output.is_empty());
        flags.set(PollFlags::OUT, !self.input.is_empty());
        [
            (
                End::Input,
                self.host.input.as_fd(),
                if read_input { PollFlags::IN } else { PollFlags::empty() },
            ),
            (End::Master, master.as_fd(), flags),
            (
                End::Output,
                self.host.output.as_fd(),
                if self.output.is_empty() { PollFlags::empty() } else { PollFlags::OUT },
            ),
        ]
        .into_iter()
        .filter(|(.., flags)| !flags.is_empty())
        .map(|(end, fd, flags)| (end, PollFd::from_borrowed_fd(fd, flags)))
        .collect()
    }

    fn serve(&mut self, end: End) {
        match end {
            End::Input => self.read_input(),
            End::Master => self.exchange(),
            End::Output => self.write_output(),
        }
    }

    fn read_input(&mut self) {
        match self.input.fill(&self.host.input) {
            Ok(0) if !self.raw.is_terminal() => self.end_input(),
            Ok(0) | Err(_) => self.input_ended = true,
            Ok(_) => {}
        }
    }

    // A terminal has no end of file, but a key for it. In the middle of a line it has to be pressed twice.
    fn end_input(&mut self) {
        self.input_ended = true;
        let settings = self.master.as_ref().and_then(|master| rustix::termios::tcgetattr(master).ok());
        if let Some(settings) = settings {
            let key = settings.special_codes[SpecialCodeIndex::VEOF];
            let keys: &[u8] = if self.input.ends_a_line() { &[key] } else { &[key, key] };
            self.input.put(keys);
        }
    }

    // Both directions: whichever isn't possible now answers so.
    fn exchange(&mut self) {
        let Some(master) = &self.master else { return };
        if !self.input.is_empty() && self.input.pour(master).is_err() {
            self.input.discard();
        }
        if self.output.is_empty() {
            let _ = self.output.fill(master);
        }
    }

    fn write_output(&mut self) {
        if self.output.pour(&self.host.output).is_err() {
            self.output.discard();
            self.held = None;
            self.master = None;
        }
    }

    /// After the program has ended: copies what it has written last. A reader may take his time, until a signal tells
    /// this process to end; if one has already (`hurried`), he may not rest for longer than a second.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn finish(mut self, signals: &Queue, hurried: bool) -> Result<(), Failure> {
        let patience = hurried.then_some(Timespec { tv_sec: 1, tv_nsec: 0 });
        self.held = None;
        self.input_ended = true;
        self.input.discard();
        while self.refill() {
            let ([signalled], ready) = self.poll([signals.as_fd()], patience.as_ref())?;
            let rests = hurried && !signalled && ready.is_empty();
            ready.into_iter().for_each(|end| self.serve(end));
            if rests || signalled && signals.next()?.is_some_and(asks_for_end) {
                break;
            }
        }
        Ok(())
    }

    // Whether there is something to write. Nobody is left to write to the terminal, or others than the program hold it:
    // then what is there now is enough.
    fn refill(&mut self) -> bool {
        let Some(master) = &self.master else { return false };
        !self.output.is_empty() || matches!(self.output.fill(master), Ok(1..))
    }
}

/// Whether a signal asks its receiver to end.
pub(crate) fn asks_for_end(signal: i32) -> bool {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].iter().any(|each| each.as_raw() == signal)
}
