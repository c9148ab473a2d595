//! `exec`: a further process in a container.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::guest::Guest;
use super::{Console, Container, Process, Status, Stdio};
use crate::cgroup::Inside;
use crate::error::{Error, Result, Wanted};
use crate::host::Host;
use crate::launch::{Descriptors, launch};
use crate::plan::{self, Joining};
use crate::seccomp;
use crate::spec::{ExecProcess, Spec};
use crate::state::Record;
use crate::sys;

/// How a further process is started, apart from what it is.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Its standard streams.
    pub stdio: Stdio,
    /// How many descriptors from 3 on the program inherits besides the standard streams.
    pub preserve_fds: u32,
    /// Where the process id is written; absolute.
    pub pid_file: Option<PathBuf>,
    /// Who gets its terminal, if it has one.
    pub console: Console,
    /// The socket to which a pidfd of the process is sent; absolute.
    pub pidfd_socket: Option<PathBuf>,
    /// Cgroups below the container's that the process goes into.
    pub cgroups: Vec<Inside>,
    /// Start it in a paused container, too: it runs when the container goes on.
    pub ignore_paused: bool,
}

pub(super) fn exec(container: &Container, process: &ExecProcess, options: &ExecOptions) -> Result<Process> {
    let made = container.root.made(&container.id)?;
    let (record, config) = made.ok_or_else(|| Error::NotFound(container.id.to_string()))?;
    // From here on it is this process, whatever becomes of its number.
    let first = record.init.open()?.ok_or_else(|| wrong(container, Status::Stopped))?;
    if !options.ignore_paused && record.cgroup.is_frozen().unwrap_or(false) {
        return Err(wrong(container, Status::Paused));
    }
    let entered = enter(container, &record, config, first.as_fd(), process, options);
    entered.map_err(|error| explain(container, first.as_fd(), error))
}

fn enter(
    container: &Container,
    record: &Record,
    config: Vec<u8>,
    first: BorrowedFd<'_>,
    process: &ExecProcess,
    options: &ExecOptions,
) -> Result<Process> {
    let (streams, pipes) = options.stdio.open()?;
    let mut inherited: Vec<BorrowedFd<'_>> = sys::inherited::descriptors(0, options.preserve_fds)?;
    streams.replace(&mut inherited);
    let spec = Spec::parse_with(config, process)?;
    options.console.check(spec.wants_terminal())?;
    let host = Host::probe_for(&record.cgroup)?.knowing_modules_for(&spec);
    let plan = plan::exec(&spec, &host, &joining(record, options))?;
    let filters = seccomp::cache::load_all(&plan.filters, &container.root.filter_cache())?;
    let cgroup = record.cgroup.open_inside(&options.cgroups, record.init.pid)?;
    let mut guest = Guest { container: first, record, status: Status::Running };
    let (process, _) = launch(&plan, &filters, &Descriptors::new(inherited), Some(cgroup), &mut guest)?;
    Ok(Process::new(process, pipes))
}

/// What was about to enter a container that is killed fails at whatever it was doing, or is killed with it.
fn explain(container: &Container, first: BorrowedFd<'_>, error: Error) -> Error {
    // A process without an answer for who enters its namespaces is dying, which may take some time: all others go first.
    let is_dying = matches!(&error, Error::Step(step) if step.errno == Errno::SRCH);
    let patience = if is_dying { container.root.patience() } else { Duration::from_millis(50) };
    match error {
        Error::Config(_) | Error::Program { .. } => error,
        _ if sys::process::wait_for_end(first, patience) => Error::Died(format!(
            "the container was killed, or has ended, while a process was being started in it: {}",
            container.id
        )),
        error => error,
    }
}

fn joining(record: &Record, options: &ExecOptions) -> Joining {
    const STANDARD_STREAMS: u32 = 3;
    Joining {
        container: record.request.clone(),
        inherited_descriptors: STANDARD_STREAMS + options.preserve_fds,
        pid_file: options.pid_file.clone(),
        pidfd_socket: options.pidfd_socket.clone(),
        console_socket: options.console.socket().map(Path::to_path_buf),
        window_size: options.console.size(),
    }
}

fn wrong(container: &Container, status: Status) -> Error {
    Error::Status { id: container.id.to_string(), status, wanted: Wanted::Exec }
}
