//! `exec`: a further process in a container.

use std::path::{Path, PathBuf};

use super::guest::Guest;
use super::{Console, Container, Executed, Status};
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
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

pub(super) fn exec(container: &Container, process: &ExecProcess, options: &ExecOptions) -> Result<Executed> {
    let made = container.root.made(&container.id)?;
    let (record, config) = made.ok_or_else(|| Error::NotFound(container.id.to_string()))?;
    // From here on it is this process, whatever becomes of its number.
    let first = record.init.open()?.ok_or_else(|| wrong(container, Status::Stopped))?;
    if !options.ignore_paused && record.cgroup.is_frozen().unwrap_or(false) {
        return Err(wrong(container, Status::Paused));
    }
    let inherited = sys::inherited::descriptors(0, options.preserve_fds)?;
    let spec = Spec::parse_with(config, process)?;
    options.console.check(spec.wants_terminal())?;
    let host = Host::probe_for(&record.cgroup)?.knowing_modules_for(&spec);
    let plan = plan::exec(&spec, &host, &joining(&record, options))?;
    let filters = seccomp::cache::load_all(&plan.filters, &container.root.cache_path())?;
    let cgroup = record.cgroup.open_inside(&options.cgroups, record.init.pid)?;
    let mut guest = Guest { container: first, record: &record, status: Status::Running };
    let (process, _) = launch(&plan, &filters, &Descriptors::new(inherited), Some(cgroup), &mut guest)?;
    Ok(Executed::new(process))
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
