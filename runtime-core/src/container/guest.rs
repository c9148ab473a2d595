//! A further process of a container: its plan asks for little outside of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::create::write_pid_file;
use crate::cgroup::{Cgroup, Paths};
use crate::error::{Error, Result};
use crate::hooks::Hooks;
use crate::launch::{Keeper, Process};

/// Who starts it: knows the container's first process, and keeps nothing.
pub(super) struct Guest {
    pub(super) container: OwnedFd,
}

fn unasked<T>() -> Result<T> {
    Err(Error::Died("the plan of a further process asks for what only a creation has".into()))
}

impl Keeper for Guest {
    fn container(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.container.as_fd())
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
