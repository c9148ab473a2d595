//! Removing a container's cgroup.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, rmdir, unlinkat};
use rustix::io::Errno;

use super::paths::{Paths, Place};
use super::tree::{self, is_gone};
use super::{files, life};
use crate::error::{Context, Error, Result};

/// How many processes an error names.
const NAMED: usize = 10;

impl Paths {
    /// Removes the cgroup with all below it, in every hierarchy, as soon as its processes are gone; then those above
    /// it that were made for it, if they are empty. Where systemd made it, its unit is stopped.
    ///
    /// # Errors
    /// Processes are left when the deadline has come; the sentence names them.
    pub fn remove(&self, deadline: Instant) -> Result<()> {
        let mut result = Ok(());
        if let Some(unit) = &self.unit {
            // Systemd would ask them to end, and then wait for a minute and a half.
            self.places.iter().try_for_each(|place| wait_until_empty(place, deadline))?;
            unit.stop()?;
        }
        for place in &self.places {
            let removed = remove(place, deadline);
            if removed.is_ok() {
                ancestors(place);
            }
            result = result.and(removed);
        }
        result
    }
}

/// Removes what was made above a container's cgroup, from the nearest, up to the first one that others use.
pub(super) fn ancestors(place: &Place) {
    for above in place.ancestors().take(place.missing) {
        match rmdir(&above) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => return,
        }
    }
}

fn wait_until_empty(place: &Place, deadline: Instant) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(5);
    while !tree::pids(place)?.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(leftover(place));
        }
        life::wait_until_empty(place, PAUSE, left);
    }
    Ok(())
}

fn remove(place: &Place, deadline: Instant) -> Result<()> {
    let path = place.directory();
    let mut pause = Duration::from_millis(1);
    // Nearly always there is nothing below it, and one call does it.
    let mut removed = rmdir(&path);
    loop {
        match removed {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) if is_held(errno) => {}
            Err(errno) => return Err(errno).doing(|| format!("cannot remove the cgroup {}", path.display())),
        }
        removed = remove_tree(&path);
        let left = deadline.saturating_duration_since(Instant::now());
        if removed.is_err_and(is_held) {
            if left.is_zero() {
                return Err(leftover(place));
            }
            life::wait_until_empty(place, pause, left);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

/// Whether a directory is there still, for a moment or longer. It may say that its cgroup is gone while it is there.
fn is_held(errno: Errno) -> bool {
    matches!(errno, Errno::BUSY | Errno::NOTEMPTY | Errno::NODEV)
}

fn remove_tree(path: &Path) -> rustix::io::Result<()> {
    let top = files::open_directory(CWD, path.as_os_str())?;
    tree::walk(
        top,
        |_| Ok(()),
        |parent, name| match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(errno) if !is_gone(errno) => Err(errno),
            _ => Ok(()),
        },
    )?;
    rmdir(path)
}

fn leftover(place: &Place) -> Error {
    let path = place.directory();
    let pids = tree::pids(place).unwrap_or_default();
    let mut named: Vec<String> = pids.iter().take(NAMED).map(|&pid| describe(pid)).collect();
    if pids.len() > NAMED {
        named.push("…".into());
    }
    let left = match pids.len() {
        0 => "the kernel still holds it though it lists no processes".into(),
        count => format!("{count} process(es) are left: {}", named.join(", ")),
    };
    Error::Leftover(format!("cannot remove the cgroup {}: {left}", path.display()))
}

fn describe(pid: u32) -> String {
    match life::waiting_in(pid) {
        Some(place) => format!("{pid} (waiting in {place})"),
        None => pid.to_string(),
    }
}
