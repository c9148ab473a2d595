//! `delete`: everything that belongs to a container goes, whatever state it is in.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::{members, status};
use crate::cgroup::{self, Paths};
use crate::container::Status;
use crate::error::{Context, Error, Result, Wanted};
use crate::hooks::{Hooks, Kind};
use crate::spec::ContainerId;
use crate::state::{Entry, Record, StateRoot};
use crate::sys;

pub(super) fn delete(root: &StateRoot, id: &ContainerId, force: bool) -> Result<()> {
    let missing = || if force { Ok(()) } else { Err(Error::NotFound(id.to_string())) };
    let Some(entry) = root.lock(id)? else { return missing() };
    match entry.record() {
        Ok(Some(record)) => delete_recorded(entry, &record, force),
        // A creation that was cut short: nobody else holds the lock, so nobody is still at it.
        Ok(None) => remove_unfinished(entry).and_then(|()| missing()),
        Err(_) if force => remove_unfinished(entry),
        Err(damaged) => Err(damaged),
    }
}

fn delete_recorded(entry: Entry, record: &Record, force: bool) -> Result<()> {
    let patience = entry.root().patience();
    match status(record, entry.awaits_start()?)? {
        Status::Stopped => {}
        // A container that was never started has nothing to lose.
        Status::Created => end(record, patience)?,
        _ if force => end(record, patience)?,
        status => return Err(Error::Status { id: entry.id().to_string(), status, wanted: Wanted::Delete }),
    }
    remove_stopped(entry, record)
}

/// Removes a container whose first process is dead.
pub(super) fn remove_stopped(entry: Entry, record: &Record) -> Result<()> {
    remove_cgroup(&record.cgroup, entry.root().patience())?;
    let state = record.state(Status::Stopped, "");
    entry.remove()?;
    // The container is gone whatever these say.
    let failures = record.hooks(Kind::Poststop).map_or_else(Vec::new, |hooks: &Hooks| hooks.run_all(&state));
    drop(failures);
    Ok(())
}

/// Kills the first process and waits until it is dead.
fn end(record: &Record, patience: Duration) -> Result<()> {
    let Some(process) = record.init.open()? else { return Ok(()) };
    if record.cgroup.is_empty() && !record.private_pid_namespace {
        // When it is dead, nobody knows any more who belonged to it.
        members::signal_all(record, Signal::KILL, Instant::now() + patience)?;
    }
    kill(process.as_fd(), record)?;
    if record.cgroup.is_frozen().unwrap_or(false) {
        record.cgroup.thaw()?;
    }
    if sys::process::wait_for_end(process.as_fd(), patience) {
        // It may be our own child, when an engine made it: then nobody else will reap it.
        let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        return Ok(());
    }
    let pid = record.init.pid;
    let place = cgroup::waiting_in(pid.unsigned_abs())
        .map_or_else(String::new, |place| format!(", it waits in {place}"));
    Err(Error::Leftover(format!(
        "container init still running: process {pid} does not die{place}; `delete` can be repeated when it does"
    )))
}

fn kill(process: BorrowedFd<'_>, record: &Record) -> Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        // It has been faster.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => {
            Err(errno).doing(|| format!("cannot kill process {} of the container", record.init.pid))
        }
    }
}

/// Nearly always the processes are dead and the cgroup is free, or will be in a moment; otherwise they are killed.
pub(super) fn remove_cgroup(cgroup: &Paths, patience: Duration) -> Result<()> {
    const MOMENT: Duration = Duration::from_millis(20);
    cgroup.remove(Instant::now() + MOMENT).or_else(|_| {
        let deadline = Instant::now() + patience;
        cgroup.kill_all(deadline)?;
        cgroup.remove(deadline)
    })
}

fn remove_unfinished(entry: Entry) -> Result<()> {
    if let Ok(Some(intent)) = entry.intent() {
        remove_cgroup(&intent.cgroup, entry.root().patience())?;
    }
    entry.remove()
}
