//! Programs that config.json wants run at fixed moments of a container's life.

mod error;
mod streams;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime;
use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::plan::Pointer;
use crate::state::State;
use crate::sys::spawn::Program;

pub use error::{HookError, Problem};
pub use streams::{ChildEnds, Streams};

/// When hooks run, and where (config.md, "POSIX-platform Hooks").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// On the host, before [`Kind::CreateRuntime`]; deprecated.
    Prestart,
    /// On the host, when the namespaces exist and the root has not been changed yet.
    CreateRuntime,
    /// The same moment, in the container's namespaces with the host's root.
    CreateContainer,
    /// In the container, just before the user's program.
    StartContainer,
    /// On the host, just after the user's program was started.
    Poststart,
    /// On the host, when the container is gone.
    Poststop,
}

impl Kind {
    /// All of them, in the order in which they run.
    pub const ALL: [Kind; 6] = [
        Kind::Prestart,
        Kind::CreateRuntime,
        Kind::CreateContainer,
        Kind::StartContainer,
        Kind::Poststart,
        Kind::Poststop,
    ];

    /// The key in config.json.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Prestart => "prestart",
            Kind::CreateRuntime => "createRuntime",
            Kind::CreateContainer => "createContainer",
            Kind::StartContainer => "startContainer",
            Kind::Poststart => "poststart",
            Kind::Poststop => "poststop",
        }
    }

    /// Where the list of these hooks is in config.json.
    pub fn pointer(self) -> Pointer {
        Pointer::of("/hooks").child(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The executable, an absolute path.
    pub path: PathBuf,
    /// Its arguments, the first being its name; if there is none, its path is its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment, as `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// When it is killed; never, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl From<&runtime::Hook> for Hook {
    // A timeout that isn't positive is refused where config.json is checked.
    fn from(hook: &runtime::Hook) -> Self {
        Hook {
            path: hook.path().clone(),
            args: hook.args().clone().unwrap_or_default(),
            env: hook.env().clone().unwrap_or_default(),
            timeout: hook.timeout().and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
        }
    }
}

/// The hooks of one kind, in the order of config.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// When and where they run.
    pub kind: Kind,
    /// The programs.
    pub hooks: Vec<Hook>,
}

impl fmt::Display for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hooks.len() {
            1 => write!(f, "run 1 {} hook", self.kind),
            n => write!(f, "run {n} {} hooks", self.kind),
        }
    }
}

/// The hooks of one kind in a config.json; none if it has none.
pub fn planned(spec: &runtime::Spec, kind: Kind) -> Option<Hooks> {
    let all = spec.hooks().as_ref()?;
    #[allow(deprecated)] // The specification still wants `prestart` run.
    let list = match kind {
        Kind::Prestart => all.prestart(),
        Kind::CreateRuntime => all.create_runtime(),
        Kind::CreateContainer => all.create_container(),
        Kind::StartContainer => all.start_container(),
        Kind::Poststart => all.poststart(),
        Kind::Poststop => all.poststop(),
    };
    let hooks: Vec<Hook> = list.iter().flatten().map(Hook::from).collect();
    (!hooks.is_empty()).then_some(Hooks { kind, hooks })
}

impl Hooks {
    /// Runs them on the host, one after the other, with the bundle as the working directory.
    ///
    /// # Errors
    /// The first one that fails; those after it are not run.
    pub fn run(&self, state: &State) -> Result<(), HookError> {
        self.hooks.iter().enumerate().try_for_each(|(index, hook)| self.run_one(index, hook, state))
    }

    /// Runs them on the host as [`Hooks::run`] does, but all of them, whatever the earlier ones did: for `poststop`,
    /// whose failures are warnings. Returns the failures.
    pub fn run_all(&self, state: &State) -> Vec<HookError> {
        let failures = self.hooks.iter().enumerate().map(|(index, hook)| self.run_one(index, hook, state));
        failures.filter_map(Result::err).collect()
    }

    fn run_one(&self, index: usize, hook: &Hook, state: &State) -> Result<(), HookError> {
        let fail = |problem| HookError::new(self.kind, index, hook, problem);
        let (streams, ends) = Streams::new(state).map_err(Problem::Start).map_err(fail)?;
        let (pid, pidfd) = hook.start(&state.bundle, &ends).map_err(fail)?;
        drop(ends);
        streams.supervise(pidfd.as_fd(), pid, hook, self.kind, index)
    }
}

impl Hook {
    /// Its arguments as `execve` takes them.
    ///
    /// # Errors
    /// `EINVAL` if one of them contains a null byte.
    pub fn argv(&self) -> rustix::io::Result<Vec<CString>> {
        match self.args.is_empty() {
            true => Ok(vec![text(self.path.as_os_str().as_bytes())?]),
            false => self.args.iter().map(|arg| text(arg.as_bytes())).collect(),
        }
    }

    /// Its environment as `execve` takes it.
    ///
    /// # Errors
    /// `EINVAL` if it contains a null byte.
    pub fn environ(&self) -> rustix::io::Result<Vec<CString>> {
        self.env.iter().map(|variable| text(variable.as_bytes())).collect()
    }

    fn start(&self, bundle: &Path, ends: &ChildEnds) -> Result<(Pid, OwnedFd), Problem> {
        let pid = self.spawn(bundle, ends).map_err(Problem::Start)?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok((pid, pidfd)),
            Err(Errno::SRCH) => Err(Problem::Lost),
            Err(errno) => {
                streams::kill_group(pid);
                Err(Problem::Watch(errno))
            }
        }
    }

    fn spawn(&self, bundle: &Path, ends: &ChildEnds) -> rustix::io::Result<Pid> {
        let directory = working_directory(bundle)?;
        let program = Program {
            path: &text(self.path.as_os_str().as_bytes())?,
            args: &self.argv()?,
            env: &self.environ()?,
            directory: directory.as_fd(),
            stdio: [ends.stdin.as_fd(), ends.stdout.as_fd(), ends.stderr.as_fd()],
        };
        program.spawn()
    }
}

fn text(bytes: &[u8]) -> rustix::io::Result<CString> {
    CString::new(bytes).map_err(|_| Errno::INVAL)
}

// Engines may have removed the bundle before `delete`; the poststop hooks must clean up all the same.
fn working_directory(bundle: &Path) -> rustix::io::Result<OwnedFd> {
    let open =
        |path| fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match open(bundle) {
        Err(Errno::NOENT) => open(Path::new("/")),
        directory => directory,
    }
}
