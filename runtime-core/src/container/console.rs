//! Who gets the terminal of a program.

use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::plan::WindowSize;

/// Who gets the master of the program's terminal, if the configuration gives it one (`process.terminal`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Console {
    /// Nobody: a configuration that asks for a terminal is refused.
    #[default]
    Nobody,
    /// The caller, from [`Executed::take_terminal`](super::Executed::take_terminal). Newlines pass it as they are.
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
