//! Cgroups by systemd: a container is a transient unit of it, mostly a scope.
//!
//! Systemd makes a scope only around a process that is there, and so the container's is born outside and waits. The
//! unit gets its limits as properties, which systemd writes again whenever it is reloaded, and then the exact ones in
//! the kernel's files, as any other cgroup does.

mod annotations;
mod bus;
mod message;
mod names;
mod properties;
mod unit;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use super::hierarchies::Hierarchies;
use super::paths::Paths;
use super::{DeviceRules, Knob};
use crate::error::ConfigError;
use names::Wanted;

pub use annotations::PREFIX as ANNOTATIONS;
pub use bus::Bus;
pub(super) use properties::of_limits;
pub use properties::{Property, Value};
pub use unit::Manager;
pub(super) use unit::{Refusal, Unit};

/// A unit that is about to be started around a process.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Where its cgroup will be.
    pub paths: Paths,
    /// What it is.
    pub properties: Vec<Property>,
    /// Whether systemd puts the process into it; not so with a slice.
    pub takes_process: bool,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.paths.unit_name().unwrap_or_default();
        write!(f, "have systemd make {unit}")?;
        if self.takes_process {
            write!(f, " around it")?;
        }
        let properties: Vec<String> = self.properties.iter().map(Property::to_string).collect();
        write!(f, ", the cgroup {}: {}", self.paths, properties.join(", "))
    }
}

/// What of a configuration matters to a unit.
pub(super) struct Wish<'a> {
    pub(super) id: &'a str,
    pub(super) cgroups_path: Option<&'a Path>,
    pub(super) annotations: Option<&'a HashMap<String, String>>,
    /// The controllers of version 2 that the container needs.
    pub(super) enabled: BTreeSet<String>,
    pub(super) devices: Option<&'a DeviceRules>,
}

/// Plans the unit of a container.
///
/// # Errors
/// `linux.cgroupsPath` names none, or an annotation asks for a property that it can't have.
pub(super) fn plan<'a>(
    wish: Wish<'_>,
    knobs: impl Iterator<Item = &'a Knob>,
    hierarchies: &Hierarchies,
    manager: &Manager,
) -> Result<Start, ConfigError> {
    let wanted = Wanted::parse(wish.cgroups_path, wish.id, manager.bus.is_user())?;
    let mut properties = properties::of_unit(&wanted, wish.id, hierarchies);
    properties.extend(of_limits(knobs, manager.version));
    properties.extend(properties::of_devices(wish.devices));
    for property in annotations::properties(wish.annotations)? {
        properties.retain(|earlier| earlier.name != property.name);
        properties.push(property);
    }
    let unit = Unit { name: wanted.unit.clone(), bus: manager.bus.clone(), version: manager.version };
    let path = manager.cgroup.join(wanted.path());
    Ok(Start {
        paths: Paths::of_unit(unit, &path, wish.enabled, hierarchies)?,
        properties,
        takes_process: !wanted.is_slice(),
    })
}
