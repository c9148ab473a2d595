//! A cgroup with those that its processes made below it.
//!
//! They may be as many and as deep as the container likes: nothing here recurses, joins long paths, or holds a
//! descriptor for each level.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::CWD;
use rustix::io::Errno;

use super::paths::Place;
use super::{files, threads};
use crate::error::{Context, Result};

type IoResult<T> = rustix::io::Result<T>;

/// How many cgroups are looked at: more than the kernel has ids for, so that only a chase without end gets there.
const MOST: usize = 1 << 20;

/// Goes through a directory and all below it. `enter` is called for each before those below it, `leave` for each but
/// the top, with its parent and its name, after those below it.
pub(super) fn walk(
    top: OwnedFd,
    mut enter: impl FnMut(&OwnedFd) -> IoResult<()>,
    mut leave: impl FnMut(&OwnedFd, &CStr) -> IoResult<()>,
) -> IoResult<()> {
    let mut here = top;
    let mut names = Vec::new();
    enter(&here)?;
    let mut todo = vec![files::subdirectories(&here)?];
    for _ in 0..MOST {
        if let Some(name) = todo.last_mut().and_then(Vec::pop) {
            here = match files::open_directory(&here, OsStr::from_bytes(name.to_bytes())) {
                Ok(child) => child,
                Err(errno) if is_gone(errno) => continue,
                Err(errno) => return Err(errno),
            };
            enter(&here)?;
            todo.push(files::subdirectories(&here)?);
            names.push(name);
        } else if let Some(name) = names.pop() {
            todo.pop();
            here = files::open_directory(&here, OsStr::new(".."))?;
            leave(&here, &name)?;
        } else {
            return Ok(());
        }
    }
    Err(Errno::LOOP)
}

/// Whether this is how the kernel answers when a cgroup was removed before or during a call.
pub(super) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV)
}

/// The processes of a cgroup and of all below it; none if it is gone.
pub(super) fn pids(place: &Place) -> Result<BTreeSet<u32>> {
    let path = place.directory();
    let mut pids = BTreeSet::new();
    let top = files::open_directory(CWD, path.as_os_str());
    let walked = top.and_then(|top| walk(top, |directory| collect(directory, &mut pids), |_, _| Ok(())));
    match walked {
        Err(errno) if !is_gone(errno) => {
            Err(errno).doing(|| format!("cannot list the processes of the cgroup {}", path.display()))
        }
        _ => Ok(pids),
    }
}

fn collect(directory: &OwnedFd, pids: &mut BTreeSet<u32>) -> IoResult<()> {
    match files::read(directory, OsStr::new("cgroup.procs")) {
        // Zero is a process that can't be named in our pid namespace.
        Ok(text) => {
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0))
        }
        Err(Errno::OPNOTSUPP) => pids.extend(threads::processes(directory)?),
        Err(errno) if is_gone(errno) => {}
        Err(errno) => return Err(errno),
    }
    Ok(())
}
