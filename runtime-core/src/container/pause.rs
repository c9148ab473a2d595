//! `pause` and `resume`: a container's processes stand still, or run on.
//!
//! The status follows from the cgroup, so a command that is killed half-way leaves nothing to repair: what is frozen
//! can be resumed.

use std::time::Instant;

use super::status;
use crate::container::Status;
use crate::error::{Error, Result, Wanted};
use crate::spec::ContainerId;
use crate::state::{Record, StateRoot};

pub(super) fn pause(root: &StateRoot, id: &ContainerId) -> Result<()> {
    let (entry, record) = root.lock_recorded(id)?;
    match status(&record, entry.awaits_start()?)? {
        Status::Created | Status::Running if record.cgroup.is_empty() => {
            Err(Error::Cgroup(format!("container {id} can't be paused: it has no cgroup")))
        }
        Status::Created | Status::Running => record.cgroup.freeze(Instant::now() + root.patience()),
        status => Err(Error::Status { id: id.to_string(), status, wanted: Wanted::Pause }),
    }
}

pub(super) fn resume(root: &StateRoot, id: &ContainerId) -> Result<()> {
    let (entry, record) = root.lock_recorded(id)?;
    let status = status(&record, entry.awaits_start()?)?;
    if is_held(status, &record)? {
        record.cgroup.thaw()?;
        return record.cgroup.wait_until_thawed(Instant::now() + root.patience());
    }
    Err(Error::Status { id: id.to_string(), status, wanted: Wanted::Resume })
}

/// Whether there is something to resume: also where a pause was cut short before every process stood still.
fn is_held(status: Status, record: &Record) -> Result<bool> {
    match status {
        Status::Paused => Ok(true),
        Status::Created | Status::Running => record.cgroup.is_held(),
        Status::Creating | Status::Stopped => Ok(false),
    }
}
