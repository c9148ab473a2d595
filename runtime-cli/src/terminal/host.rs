//! The caller's side: his streams, and his terminal if they are one.

use std::io::{stderr, stdin, stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, OutputModes, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::failure::Failure;
use runtime_core::error::Context;
use runtime_core::plan::WindowSize;

/// The size of the caller's terminal, if one of the standard streams is one and it has a size.
pub(crate) fn size() -> Option<WindowSize> {
    let size = window([stdin().as_fd(), stdout().as_fd(), stderr().as_fd()])?;
    let has_size = size.ws_row > 0 && size.ws_col > 0;
    has_size.then_some(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

fn window<const N: usize>(streams: [BorrowedFd<'_>; N]) -> Option<Winsize> {
    streams.into_iter().find_map(|stream| tcgetwinsize(stream).ok())
}

/// The streams between which and the container's terminal is copied.
pub(super) struct Host {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
    error: OwnedFd,
}

impl Host {
    pub(super) fn standard_streams() -> Result<Self, Failure> {
        let doing = || "cannot use the standard streams".to_string();
        let copy = |stream: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 0).doing(doing);
        let (input, output, error) =
            (copy(stdin().as_fd())?, copy(stdout().as_fd())?, copy(stderr().as_fd())?);
        Ok(Host::new(input, output, error))
    }

    pub(super) fn new(input: OwnedFd, output: OwnedFd, error: OwnedFd) -> Self {
        let output = unblocked(output.as_fd()).unwrap_or(output);
        Host { input, output, error }
    }

    pub(super) fn window(&self) -> Option<Winsize> {
        window([self.input.as_fd(), self.output.as_fd(), self.error.as_fd()])
    }

    /// The null device in the place of input says that there is none, which is not the same as one that has ended: a
    /// shell in the background goes on.
    pub(super) fn has_no_input(&self) -> bool {
        const NULL: (u32, u32) = (1, 3);
        fstat(&self.input).is_ok_and(|status| {
            let device = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
            FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && device == NULL
        })
    }
}

// A terminal that is held (Ctrl-S) would block us in the middle of a write. It is opened anew, for whoever else has
// this stream expects it to block. Where that is not allowed, it blocks.
fn unblocked(stream: BorrowedFd<'_>) -> Option<OwnedFd> {
    if !isatty(stream) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// The caller's terminal while every key goes to the container. Its former settings come back at the end.
#[derive(Default)]
pub(super) struct Raw {
    former: Option<(OwnedFd, Termios)>,
}

impl Raw {
    /// Takes the terminal in hand, if it is one. In the background it belongs to somebody else.
    pub(super) fn enter(&mut self, terminal: &OwnedFd) {
        if !isatty(terminal) || !in_foreground(terminal) {
            return;
        }
        if let (None, Ok(settings), Ok(copy)) = (&self.former, tcgetattr(terminal), terminal.try_clone()) {
            self.former = Some((copy, settings));
        }
        if let Some((terminal, former)) = &self.former {
            let _ = tcsetattr(terminal, OptionalActions::Now, &raw(former));
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.former.is_some()
    }
}

// The carriage return before a newline is this terminal's to make: the container's leaves newlines as they are.
fn raw(former: &Termios) -> Termios {
    let mut settings = former.clone();
    settings.make_raw();
    settings.output_modes |= former.output_modes & OutputModes::OPOST;
    settings
}

// A terminal that controls somebody else's session (or nobody's) has no group for us to be in.
fn in_foreground(terminal: &OwnedFd) -> bool {
    match tcgetpgrp(terminal) {
        Ok(group) => group == rustix::process::getpgrp(),
        Err(errno) => errno == Errno::NOTTY,
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some((terminal, settings)) = self.former.take()
            && in_foreground(&terminal)
        {
            let _ = tcsetattr(&terminal, OptionalActions::Now, &settings);
        }
    }
}
