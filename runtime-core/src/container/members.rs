//! The processes of a container: those of its cgroup. One that has none is known by its pid namespace, and one without that
//! by who is whose parent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};

use crate::error::{Context, Error, Result};
use crate::state::{self, Record};

/// The processes, ascending.
pub(super) fn pids(record: &Record) -> Result<Vec<u32>> {
    match record.cgroup.is_empty() {
        false => record.cgroup.pids(),
        true => Ok(family(record)?.into_iter().collect()),
    }
}

/// Sends a signal to each of them.
pub(super) fn signal_all(record: &Record, signal: Signal, deadline: Instant) -> Result<()> {
    match record.cgroup.is_empty() {
        false if signal == Signal::KILL => record.cgroup.kill_all(deadline),
        false => record.cgroup.signal_all(signal, deadline),
        true => signal_family(record, signal, deadline),
    }
}

/// The first process comes last: nobody knows any more who belonged to it when it is dead. With a pid namespace it takes
/// all others along.
fn signal_family(record: &Record, signal: Signal, deadline: Instant) -> Result<()> {
    let first = record.init.pid.unsigned_abs();
    let mut done = BTreeSet::from([first]);
    loop {
        let new: Vec<u32> = family(record)?.difference(&done).copied().collect();
        if new.is_empty() || signal == Signal::KILL && record.private_pid_namespace {
            return signal_one(record, first, signal);
        }
        for pid in &new {
            signal_one(record, *pid, signal)?;
        }
        done.extend(new);
        if Instant::now() >= deadline {
            return Err(Error::Died("new processes keep appearing in the container".into()));
        }
    }
}

/// A process that is still one of the container's after its descriptor was opened is the one that was listed.
fn signal_one(record: &Record, pid: u32, signal: Signal) -> Result<()> {
    let Some(number) = Pid::from_raw(pid.cast_signed()) else { return Ok(()) };
    let Some(handle) = state::handle(number)? else { return Ok(()) };
    if !family(record)?.contains(&pid) {
        return Ok(());
    }
    match pidfd_send_signal(&handle, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("cannot signal process {pid} of the container")),
    }
}

/// The first process, those of its own pid namespace, and the descendants of all of them.
fn family(record: &Record) -> Result<BTreeSet<u32>> {
    if !record.init.is_alive()? {
        return Ok(BTreeSet::new());
    }
    let first = record.init.pid.unsigned_abs();
    let namespace = pid_namespace(first).filter(|_| record.private_pid_namespace);
    let parents = parents()?;
    let inside = |pid: &u32| *pid == first || namespace.is_some() && pid_namespace(*pid) == namespace;
    let mut family: BTreeSet<u32> = parents.keys().copied().filter(inside).collect();
    loop {
        let children = parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(pid, _)| *pid);
        let grown: BTreeSet<u32> = family.iter().copied().chain(children).collect();
        if grown.len() == family.len() {
            return Ok(family);
        }
        family = grown;
    }
}

fn pid_namespace(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Every process that can be seen, with its parent; not those that have ended.
fn parents() -> Result<BTreeMap<u32, u32>> {
    let entries = fs::read_dir("/proc").doing(|| "cannot list /proc".into())?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| Some((pid, parent(pid)?))).collect())
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| status.lines().find_map(|line: &str| line.strip_prefix(name)).map(str::trim);
    field("PPid:")
        .filter(|_| !field("State:").is_some_and(|state| state.starts_with(['Z', 'X'])))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_its_parent_and_one_that_ended_has_none() {
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(parent(child.id()), Some(std::process::id()));
        assert!(parents().unwrap().contains_key(&std::process::id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(parent(child.id()), None);
    }
}
