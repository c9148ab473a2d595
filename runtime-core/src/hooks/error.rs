//! How a hook fails, and the sentence about it.

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;

use super::streams::Captured;
use super::{Hook, Kind};
use crate::error::words;

/// A hook that failed. The text names the hook, its place in config.json, what happened, and what it printed.
#[derive(Debug)]
pub struct HookError {
    kind: Kind,
    index: usize,
    hook: Box<Hook>,
    problem: Problem,
    /// Standard output and standard error, if it ran.
    printed: Option<Box<[Captured; 2]>>,
}

/// What happened to a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It could not be started.
    Start(Errno),
    /// It ended with this exit status, which is not 0.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
    /// It ran for longer than it may, and was killed with its process group.
    Timeout(Duration),
    /// It could not be watched, and was killed with its process group.
    Watch(Errno),
    /// It ended, but its exit status went elsewhere.
    Lost,
}

impl HookError {
    /// Hook number `index` of this kind, counted from 0, failed without having run.
    pub fn new(kind: Kind, index: usize, hook: &Hook, problem: Problem) -> Self {
        HookError { kind, index, hook: Box::new(hook.clone()), problem, printed: None }
    }

    pub(super) fn with_output(mut self, printed: [Captured; 2]) -> Self {
        self.printed = Some(Box::new(printed));
        self
    }

    /// What happened to it.
    pub fn problem(&self) -> Problem {
        self.problem
    }
}

impl std::error::Error for HookError {}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HookError { kind, index, hook, problem, printed } = self;
        let place = kind.pointer().child(index);
        write!(f, "error running {kind} hook #{index} ({place} of config.json, {})", hook.path.display())?;
        write!(f, ": {problem}")?;
        match printed.as_deref() {
            Some([stdout, stderr]) => write!(f, ", stdout: {stdout}, stderr: {stderr}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Start(errno) => write!(f, "cannot start it: {}", words(*errno)),
            Problem::Status(status) => write!(f, "exit status {status}"),
            Problem::Signal(signal) => write!(f, "killed by signal {signal}"),
            Problem::Timeout(limit) => {
                write!(f, "hook ran past specified timeout of {:.1}s", limit.as_secs_f64())
            }
            Problem::Watch(errno) => write!(f, "cannot watch it: {}", words(*errno)),
            Problem::Lost => f.write_str(
                "its exit status is lost, because this process ignores SIGCHLD or waits for it elsewhere",
            ),
        }
    }
}
