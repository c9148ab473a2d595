//! Who makes a container's cgroup.

use std::path::PathBuf;

use super::{Bus, Manager};
use crate::error::Result;
use crate::host::Host;
use crate::spec::{ContainerId, Spec};

/// Who makes a container's cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Driver {
    /// The runtime itself.
    #[default]
    Ourselves,
    /// The runtime itself, below this cgroup in every hierarchy, unless `cgroupsPath` is absolute. It is made if it is
    /// missing.
    Below(PathBuf),
    /// systemd, as a unit of its own.
    Systemd(Bus),
    /// Nobody: limits are refused then, and nobody restricts devices.
    Nobody,
}

impl Host {
    /// Looks at this machine, for a container that is yet to be made; a systemd that makes its cgroup is asked about
    /// itself.
    ///
    /// # Errors
    /// As for [`Host::probe`]; `cgroupsPath` names no cgroup; there is no such systemd.
    pub fn probe_for_new(spec: &Spec, id: &ContainerId, driver: &Driver) -> Result<(Self, Option<Manager>)> {
        let mut host = Self::probe()?.knowing_modules_for(spec);
        let mut manager = None;
        match driver {
            Driver::Ourselves => host.look_for_access(spec, id)?,
            Driver::Below(parent) => {
                host.cgroups.parent = Some(parent.clone());
                host.look_for_access(spec, id)?;
            }
            // It answers for what it was given.
            Driver::Systemd(bus) => manager = Some(Manager::reach(bus.clone())?),
            Driver::Nobody => host.close_all_cgroups(),
        }
        Ok((host, manager))
    }
}
