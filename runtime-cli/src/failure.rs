//! Why a command failed, as the sentence that the user reads.

use crate::compat;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments make no sense.
    #[error("Incorrect Usage: {0}")]
    Usage(String),
    /// The library's answer, or that of the kernel to a call of the command itself.
    #[error(transparent)]
    Library(#[from] runtime_core::Error),
    /// The command can't do what was asked.
    #[error("{0}")]
    Refused(String),
    /// The answer of a command, with the exit status that tells of it.
    #[error("{0}")]
    Answer(String, u8),
}

impl Failure {
    /// This failure as the answer to the command `verb`.
    pub(crate) fn of(self, verb: &str) -> Self {
        match self {
            Failure::Usage(_) => self,
            failure => {
                Failure::Answer(format!("{}{failure}", compat::prefix(verb)), compat::failure_status(verb))
            }
        }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Failure::Answer(_, status) => *status,
            Failure::Usage(_) | Failure::Library(_) | Failure::Refused(_) => 1,
        }
    }
}
