//! Threaded cgroups: those below somebody else's, whose memory is accounted in one above them.
//!
//! A cgroup that is made below one of them can hold nothing until it is threaded too.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;

use super::files;
use super::paths::Place;
use super::tree::is_gone;
use crate::error::{Context, Error, Result};

/// The controllers that tell threads of one process apart. The others limit what a process has as a whole.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// Makes a new cgroup, and those above that were made for it, threaded, if they must be.
///
/// # Errors
/// The container has limits that can't be set there; or the kernel refuses.
pub(super) fn follow(place: &Place) -> Result<()> {
    let made: Vec<_> = place.ancestors().take(place.missing).collect();
    for path in made.into_iter().rev().chain([place.directory()]) {
        let doing = || format!("cannot make the cgroup {} threaded", path.display());
        if !is_invalid(&path).doing(doing)? {
            continue;
        }
        let impossible: Vec<_> =
            place.controllers.iter().map(String::as_str).filter(|name| !CONTROLLERS.contains(name)).collect();
        if !impossible.is_empty() {
            return Err(Error::Cgroup(format!(
                "the cgroup {} is below a threaded one, where nothing is limited by {}: name another one in cgroupsPath",
                path.display(),
                impossible.join(", ")
            )));
        }
        let directory = files::open_place(&path).doing(doing)?;
        files::write_lines(&directory, "cgroup.type", "threaded").doing(doing)?;
    }
    Ok(())
}

/// Whether nobody can be in it as it is.
fn is_invalid(path: &Path) -> rustix::io::Result<bool> {
    match files::read_short(CWD, path.join("cgroup.type").as_os_str()) {
        Ok(kind) => Ok(kind.trim_end() == "domain invalid"),
        // KERNEL(4.14): older ones know no threaded cgroups.
        Err(errno) if is_gone(errno) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The processes whose threads are in a threaded cgroup, which doesn't list processes.
pub(super) fn processes(directory: &OwnedFd) -> rustix::io::Result<BTreeSet<u32>> {
    match files::read(directory, OsStr::new("cgroup.threads")) {
        Ok(text) => Ok(text.lines().filter_map(process_of).collect()),
        Err(errno) if is_gone(errno) || errno == Errno::OPNOTSUPP => Ok(BTreeSet::new()),
        Err(errno) => Err(errno),
    }
}

/// The process of a thread; none if it is gone, or can't be named in our pid namespace.
fn process_of(thread: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    process.trim().parse().ok().filter(|&pid| pid != 0)
}
