//! The terminal of a program, and who gets it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::termios::{Winsize, tcsetwinsize};

use crate::error::{ConfigError, Context, Result};
use crate::plan::WindowSize;

/// The master of a program's terminal: what is written to it, the program reads. The program is hung up when it is
/// closed.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
}

impl Terminal {
    pub(super) fn new(master: OwnedFd) -> Self {
        Terminal { master }
    }

    /// Changes its size, of which the program is told.
    ///
    /// # Errors
    /// It has no size.
    pub fn resize(&self, size: WindowSize) -> Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).doing(|| "cannot change the size of the terminal".into())
    }
}

impl Read for Terminal {
    /// The kernel says EIO when nobody has the terminal any more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.master, buffer)?)
    }
}

impl Write for Terminal {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.master, text)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

impl From<Terminal> for OwnedFd {
    fn from(terminal: Terminal) -> Self {
        terminal.master
    }
}

/// Who gets the master of the program's terminal, if the configuration gives it one (`process.terminal`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Console {
    /// Nobody: a configuration that asks for a terminal is refused.
    #[default]
    Nobody,
    /// The caller, from [`Process::take_terminal`](super::Process::take_terminal). Newlines pass it as they are.
    Caller {
        /// Its size from the beginning, instead of `process.consoleSize`.
        size: Option<WindowSize>,
    },
    /// Whoever listens on this UNIX stream socket: he gets one message, the name of the terminal inside, with the
    /// descriptor. A configuration that asks for no terminal is refused.
    Socket(PathBuf),
}

impl Console {
    /// Holds it against what the process asks for.
    ///
    /// # Errors
    /// There is a terminal and nobody to take it, or somebody waits for one in vain.
    pub fn check(&self, terminal: bool) -> Result<(), ConfigError> {
        let problem = match (self, terminal) {
            (Console::Nobody, true) => {
                "a terminal needs somebody to take it: name a console socket, or set this to false"
            }
            (Console::Socket(_), false) => {
                "a console socket waits for a terminal: set this to true, or name no socket"
            }
            _ => return Ok(()),
        };
        Err(ConfigError::new("/process/terminal", problem))
    }

    /// The socket to which the terminal is sent.
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Console::Socket(path) => Some(path),
            Console::Nobody | Console::Caller { .. } => None,
        }
    }

    /// The size that the caller wants.
    pub fn size(&self) -> Option<WindowSize> {
        match self {
            Console::Caller { size } => *size,
            Console::Nobody | Console::Socket(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_needs_somebody_to_take_it_and_a_listener_a_terminal() {
        let socket = Console::Socket("/s".into());
        assert!(Console::Nobody.check(true).is_err() && socket.check(false).is_err());
        assert!(Console::Nobody.check(false).is_ok() && socket.check(true).is_ok());
        let caller = Console::Caller { size: None };
        assert!(caller.check(true).is_ok() && caller.check(false).is_ok());
    }
}
