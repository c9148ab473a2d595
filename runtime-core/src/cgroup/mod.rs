//! Control groups: one list of knobs, two back ends (version 1 and version 2).
//!
//! [`plan`] is pure and decides where the cgroup lies ([`Paths`]), which limits it gets ([`Knob`]) and which devices
//! may be used ([`DeviceRules`]). [`Paths::create`] makes it and hands out a [`Cgroup`] to set them with. Later
//! commands need the stored [`Paths`] alone; what they do is done again without harm, and finds it in order when there
//! is nothing left.

mod change;
mod closed;
mod convert;
mod create;
mod devices;
mod driver;
mod ebpf;
mod exceptions;
mod files;
mod former;
mod handle;
mod hierarchies;
mod inside;
mod knobs;
mod life;
mod mountinfo;
mod paths;
mod remove;
mod stats;
mod systemd;
mod threads;
mod tree;
mod update;
mod v1;
mod v2;
mod watch;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use crate::error::ConfigError;
use crate::plan::Pointer;

pub use closed::Closed;
pub use devices::DeviceRules;
pub use driver::Driver;
pub use handle::Cgroup;
pub use hierarchies::{Hierarchies, V1, V2, Version};
pub use inside::Inside;
pub use knobs::{Hierarchy, Knob, Tolerance};
pub(crate) use life::waiting_in;
pub use paths::Paths;
pub use stats::{
    BlockIo, BlockIoEntry, Cpu, CpuUsage, Cpuset, Hugetlb, Memory, MemoryUse, Pids, Pressure, Stall, Stats,
    Throttling,
};
pub use systemd::{ANNOTATIONS, Bus, Manager, Property, Start, Value};
pub use update::{Update, plan_update};
pub use watch::{Happening, Resource, Threshold, Watch};

/// What a container's cgroup will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Where it lies.
    pub paths: Paths,
    /// The unit that systemd makes it for, if that is who makes it.
    pub start: Option<Start>,
    /// Its limits, in the order in which they are set, with the fields that ask for them.
    pub knobs: Vec<(Pointer, Knob)>,
    /// Which devices may be used. `None` if any may, in any way.
    pub devices: Option<(Pointer, DeviceRules)>,
}

/// Plans the cgroup of the container `id`; `manager` makes it, if given.
///
/// # Errors
/// A limit makes no sense, or the host has no controller for it; `cgroups_path` names no cgroup; device rules can't be
/// enforced here.
pub fn plan(
    id: &str,
    cgroups_path: Option<&Path>,
    resources: Option<&LinuxResources>,
    hierarchies: &Hierarchies,
    manager: Option<(&Manager, &Annotations)>,
) -> Result<Planned, ConfigError> {
    let devices = || devices(resources, hierarchies);
    plan_with(devices, id, cgroups_path, resources, hierarchies, manager)
}

/// The same where nobody can restrict devices.
///
/// # Errors
/// As for [`plan`].
pub(crate) fn plan_limits(
    id: &str,
    cgroups_path: Option<&Path>,
    resources: Option<&LinuxResources>,
    hierarchies: &Hierarchies,
    manager: Option<(&Manager, &Annotations)>,
) -> Result<Planned, ConfigError> {
    plan_with(|| Ok(None), id, cgroups_path, resources, hierarchies, manager)
}

fn plan_with(
    devices: impl FnOnce() -> Result<Option<(Pointer, DeviceRules)>, ConfigError>,
    id: &str,
    cgroups_path: Option<&Path>,
    resources: Option<&LinuxResources>,
    hierarchies: &Hierarchies,
    manager: Option<(&Manager, &Annotations)>,
) -> Result<Planned, ConfigError> {
    let knobs = resources.map_or(Ok(Vec::new()), |wanted| knobs::knobs(wanted, hierarchies))?;
    let enabled = knobs::enabled(&knobs, resources, hierarchies);
    let devices = devices()?;
    let Some((manager, annotations)) = manager else {
        let paths = Paths::decide(id, cgroups_path, enabled, hierarchies)?;
        return Ok(Planned { paths, start: None, knobs, devices });
    };
    let rules = devices.as_ref().map(|(_, rules)| rules);
    let wish = systemd::Wish { id, cgroups_path, annotations: annotations.as_ref(), enabled, devices: rules };
    let start = systemd::plan(wish, knobs.iter().map(|(_, knob)| knob), hierarchies, manager)?;
    Ok(Planned { paths: start.paths.clone(), start: Some(start), knobs, devices })
}

/// Those of config.json.
pub type Annotations = Option<std::collections::HashMap<String, String>>;

fn devices(
    resources: Option<&LinuxResources>,
    hierarchies: &Hierarchies,
) -> Result<Option<(Pointer, DeviceRules)>, ConfigError> {
    let at = knobs::resources().child("devices");
    let wanted = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
    let rules = DeviceRules::new(wanted, &at)?;
    if rules.allow_everything() {
        return Ok(None);
    }
    if hierarchies.v1_with("devices").is_some() {
        exceptions::writes(&rules).map_err(|problem| ConfigError::new(at.clone(), problem))?;
    } else if hierarchies.v2.is_none() {
        return Err(ConfigError::new(
            at,
            "nothing on this host can restrict devices: mount cgroup2, or version 1 with the devices controller",
        ));
    }
    Ok(Some((at, rules)))
}
