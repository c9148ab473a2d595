//! `update`: other limits for a container that exists.

use oci_spec::runtime::LinuxResources;

use super::status;
use crate::cgroup::{self, Hierarchies};
use crate::container::Status;
use crate::error::{Error, Result, Wanted};
use crate::spec::ContainerId;
use crate::state::StateRoot;

pub(super) fn update(root: &StateRoot, id: &ContainerId, given: &LinuxResources) -> Result<()> {
    let (entry, record) = root.lock_recorded(id)?;
    if let status @ Status::Stopped = status(&record, entry.awaits_start()?)? {
        return Err(Error::Status { id: id.to_string(), status, wanted: Wanted::Update });
    }
    if record.cgroup.is_empty() {
        return Err(Error::Cgroup(format!("container {id} can't be updated: it has no cgroup")));
    }
    let planned = cgroup::plan_update(&entry.resources()?, given, &Hierarchies::probe()?);
    let update = planned.map_err(Error::Update)?;
    // What can't be written down must not be done.
    entry.prepare_resources(&update.resources)?;
    record.cgroup.update(&update)?;
    entry.publish_resources()
}
