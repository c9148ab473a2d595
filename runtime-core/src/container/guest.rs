//! A further process of a container: its plan asks for little outside of it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::create::write_pid_file;
use super::{Status, agent};
use crate::cgroup::{Cgroup, Paths, Start};
use crate::error::{Error, Result};
use crate::hooks::Hooks;
use crate::launch::{Keeper, Process};
use crate::seccomp::Agent;
use crate::state::Record;

/// Who starts it: knows the container's first process, and keeps nothing.
pub(super) struct Guest<'a> {
    pub(super) container: BorrowedFd<'a>,
    pub(super) record: &'a Record,
    /// What an agent is told that the container is.
    pub(super) status: Status,
}

fn unasked<T>() -> Result<T> {
    Err(Error::Died("the plan of a further process asks for what only a creation has".into()))
}

impl Keeper for Guest<'_> {
    fn container(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.container)
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        unasked()
    }

    fn tell_agent(&self, agent: &Agent, listener: BorrowedFd<'_>, process: &Process) -> Result<()> {
        agent::tell(agent, listener, process.pid, self.record, self.status)
    }

    fn write_pid_file(&mut self, path: &Path, process: &Process) -> Result<()> {
        write_pid_file(path, process.pid)
    }

    fn prepare(&mut self, _: &Process) -> Result<()> {
        Ok(())
    }

    fn keep_cgroup(&mut self, _: &Paths) -> Result<Cgroup> {
        unasked()
    }

    fn start_unit(&mut self, _: &Start, _: &Process) -> Result<Cgroup> {
        unasked()
    }

    fn run_hooks(&mut self, _: &Hooks, _: &Process) -> Result<()> {
        unasked()
    }

    fn record(&mut self, _: &Process) -> Result<()> {
        unasked()
    }

    fn helper_directories(&self) -> &[PathBuf] {
        &[]
    }

    fn start_socket(&mut self) -> Result<OwnedFd> {
        unasked()
    }
}
