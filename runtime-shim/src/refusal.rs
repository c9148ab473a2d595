//! Why something was not done: a sentence for people, and a code that containerd decides by.

use std::fmt;

use runtime_core::error::words;
use runtime_core::{Error, ErrorKind};

use crate::protos::protobuf;
use crate::protos::ttrpc::Code;

/// A request, or an action, that is not carried out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// gRPC's code.
    pub(crate) code: Code,
    /// One sentence.
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Refusal { code, text: text.into() }
    }

    pub(crate) fn unknown(text: impl Into<String>) -> Self {
        Self::new(Code::UNKNOWN, text)
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::INVALID_ARGUMENT, text)
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(Code::NOT_FOUND, text)
    }

    pub(crate) fn wrong_state(text: impl Into<String>) -> Self {
        Self::new(Code::FAILED_PRECONDITION, text)
    }

    pub(crate) fn unsupported(text: impl Into<String>) -> Self {
        Self::new(Code::UNIMPLEMENTED, text)
    }

    /// The same with words before it, as users of runc know them.
    pub(crate) fn while_doing(self, what: &str) -> Self {
        Refusal { text: format!("{what}: {}", self.text), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Invalid => Code::INVALID_ARGUMENT,
            ErrorKind::NotFound => Code::NOT_FOUND,
            ErrorKind::Exists => Code::ALREADY_EXISTS,
            ErrorKind::Status => Code::FAILED_PRECONDITION,
            ErrorKind::Busy => Code::UNAVAILABLE,
            // The kernel's words are what engines look at.
            _ => Code::UNKNOWN,
        };
        Refusal::new(code, error.to_string())
    }
}

impl From<runtime_core::error::ConfigError> for Refusal {
    fn from(error: runtime_core::error::ConfigError) -> Self {
        Error::from(error).into()
    }
}

impl From<protobuf::Error> for Refusal {
    fn from(error: protobuf::Error) -> Self {
        Refusal::invalid(format!("the message can't be understood: {error}"))
    }
}

/// Says what a call of the kernel was for.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Refusal>;
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Refusal> {
        self.map_err(|errno| Refusal::unknown(format!("{}: {}", what(), words(errno))))
    }
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Refusal> {
        runtime_core::error::Context::doing(self, what).map_err(Refusal::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_learns_what_kind_of_error_it_is() {
        let missing = Refusal::from(Error::NotFound("x".into()));
        assert_eq!((missing.code, missing.text.as_str()), (Code::NOT_FOUND, "container does not exist: x"));
        assert_eq!(Refusal::from(Error::Exists("x".into())).code, Code::ALREADY_EXISTS);
        let refused = Refusal::unknown("no").while_doing("OCI runtime create failed");
        assert_eq!(refused.to_string(), "OCI runtime create failed: no");
    }
}
