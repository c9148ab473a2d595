//! What programs ask of an error.

use rustix::io::Errno;

use super::{ConfigError, Error};
use crate::hooks::Problem;
use crate::plan::Pointer;

/// What kind of error it is: what a program that embeds this library decides by. The sentence is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration, a name or a limit asks for what can't be done: the same call will fail again, everywhere.
    Invalid,
    /// There is no such container.
    NotFound,
    /// The name is taken.
    Exists,
    /// The container is not in a state that allows this.
    Status,
    /// The program is missing in the container, or can't be executed.
    Program,
    /// A hook failed.
    Hook,
    /// The container died while it was being made or entered.
    Died,
    /// Another command held the container for too long.
    Busy,
    /// How the container ended is not known any more.
    ExitUnknown,
    /// A file of the state directory is damaged.
    Damaged,
    /// Something of the container could not be removed.
    Leftover,
    /// The machine said no: a call failed, a helper refused, a cgroup is not as it must be.
    System,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Config(_) | Error::Update(_) | Error::InvalidId(_) => ErrorKind::Invalid,
            Error::NotFound(_) => ErrorKind::NotFound,
            Error::Exists(_) => ErrorKind::Exists,
            Error::Status { .. } => ErrorKind::Status,
            Error::Program { .. } => ErrorKind::Program,
            Error::Hook(_) => ErrorKind::Hook,
            Error::Died(_) => ErrorKind::Died,
            Error::Busy { .. } => ErrorKind::Busy,
            Error::ExitUnknown(_) => ErrorKind::ExitUnknown,
            Error::Damaged { .. } => ErrorKind::Damaged,
            Error::Leftover(_) => ErrorKind::Leftover,
            Error::System { .. } | Error::Step(_) | Error::IdMap(_) | Error::Cgroup(_) => ErrorKind::System,
        }
    }

    /// The kernel's answer, if there was one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::System { errno, .. } | Error::Program { errno, .. } => Some(*errno),
            Error::Step(step) => Some(step.errno),
            Error::Hook(hook) => match hook.problem() {
                Problem::Start(errno) | Problem::Watch(errno) => Some(errno),
                _ => None,
            },
            _ => None,
        }
    }

    /// Which field of the configuration it is about, as a JSON pointer (RFC 6901): the one that is wrong, or that asked
    /// for the step that failed.
    pub fn pointer(&self) -> Option<&str> {
        let pointer = match self {
            Error::Config(ConfigError { pointer, .. }) | Error::Update(ConfigError { pointer, .. }) => {
                pointer
            }
            Error::Step(step) => &step.origin,
            _ => &Pointer::NONE,
        };
        Some(pointer.as_str()).filter(|pointer| !pointer.is_empty())
    }

    /// The number of the plan's entry that failed ([`crate::Plan::entry`]).
    pub fn step(&self) -> Option<u32> {
        match self {
            Error::Step(step) => Some(step.number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StepError;

    #[test]
    fn programs_learn_what_people_read() {
        let config = Error::from(ConfigError::new("/process/cwd", "must be absolute"));
        assert_eq!((config.kind(), config.pointer()), (ErrorKind::Invalid, Some("/process/cwd")));
        assert_eq!((config.errno(), config.step()), (None, None));
        let nowhere = Error::from(ConfigError::new("", "is empty"));
        assert_eq!(nowhere.pointer(), None);
        let (what, call, origin) = ("mount".to_owned(), "mount".to_owned(), Pointer::of("/mounts/0"));
        let step = Error::from(Box::new(StepError { number: 7, what, origin, call, errno: Errno::PERM }));
        assert_eq!((step.kind(), step.errno(), step.step()), (ErrorKind::System, Some(Errno::PERM), Some(7)));
        assert_eq!(step.pointer(), Some("/mounts/0"));
    }
}
