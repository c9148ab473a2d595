//! Why a command failed, as the sentence that the user reads.

use crate::compat;

/// Why a command failed. The exit status is 1 for every kind.
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
}

impl Failure {
    /// This failure as the answer to the command `verb`.
    pub(crate) fn of(self, verb: &str) -> Self {
        match self {
            Failure::Usage(_) => self,
            failure => Failure::Refused(format!("{}{failure}", compat::prefix(verb))),
        }
    }
}
