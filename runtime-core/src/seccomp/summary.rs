//! A profile in one phrase.

use std::collections::BTreeSet;
use std::fmt;

use super::architecture::Architecture;
use super::profile::{Action, ENOSYS, Profile};

impl Profile {
    /// One phrase for people, such as `363 system calls allowed, the others fail with EPERM (x86_64, x86, x32)`.
    /// Counts names, known or not, once for each action that is not the default.
    pub fn summary(&self) -> String {
        let mut parts: Vec<String> = self.actions().into_iter().map(|action| self.part(action)).collect();
        let rest = if parts.is_empty() { "all system calls" } else { "the others" };
        parts.push(format!("{rest} {}", self.default));
        let architectures: Vec<_> = self.architectures.iter().copied().map(Architecture::name).collect();
        format!("{} ({})", parts.join(", "), architectures.join(", "))
    }

    /// The actions other than the default, in the order in which the profile mentions them.
    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for action in self.rules.iter().map(|rule| rule.action).filter(|action| *action != self.default) {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
        actions
    }

    fn part(&self, action: Action) -> String {
        let rules = self.rules.iter().filter(|rule| rule.action == action);
        match rules.flat_map(|rule| &rule.names).collect::<BTreeSet<_>>().len() {
            1 => format!("1 system call {action:#}"),
            count => format!("{count} system calls {action}"),
        }
    }
}

/// A verb for system calls, in the plural; the alternate form is in the singular.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if f.alternate() { "s" } else { "" };
        match self {
            Action::KillThread => write!(f, "kill{s} the thread"),
            Action::KillProcess => write!(f, "kill{s} the process"),
            Action::Trap => write!(f, "raise{s} SIGSYS"),
            Action::Errno(1) => write!(f, "fail{s} with EPERM"),
            Action::Errno(13) => write!(f, "fail{s} with EACCES"),
            Action::Errno(ENOSYS) => write!(f, "fail{s} with ENOSYS"),
            Action::Errno(errno) => write!(f, "fail{s} with errno {errno}"),
            Action::Trace(message) => {
                write!(f, "go{} to the tracer ({message})", if s.is_empty() { "" } else { "es" })
            }
            Action::Notify => write!(f, "go{} to the agent", if s.is_empty() { "" } else { "es" }),
            Action::Log => write!(f, "logged"),
            Action::Allow => write!(f, "allowed"),
        }
    }
}
