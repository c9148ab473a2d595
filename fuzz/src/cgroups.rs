//! Where a container's cgroup is asked to be, and where a further process goes: never outside.

use std::collections::HashMap;
use std::path::{Component, Path};

use runtime_core::cgroup::{ANNOTATIONS, Bus, Hierarchies, Inside, Manager, Planned, plan};
use runtime_core::error::ConfigError;

use crate::hosts::{version_1, version_2};
use crate::plans::check_refusal;

/// The first line is `linux.cgroupsPath`; the second what `exec --cgroup` says; the others are annotations with
/// properties of the unit, a name and a value each.
pub(crate) fn paths(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let wanted = Path::new(lines.next().unwrap_or_default());
    inside(lines.next().unwrap_or_default());
    let annotation = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((format!("{ANNOTATIONS}{name}"), value.to_owned()))
    };
    let annotations: HashMap<String, String> = lines.filter_map(annotation).collect();
    for hierarchies in [version_2(), version_1()] {
        contained(plan("x", Some(wanted), None, &hierarchies, None), &hierarchies);
        let manager = Manager { bus: Bus::System, version: 252, cgroup: "/engine".into() };
        let unit = (&manager, &Some(annotations.clone()));
        contained(plan("x", Some(wanted), None, &hierarchies, Some(unit)), &hierarchies);
    }
}

/// Below the mount point of a hierarchy, and not that itself.
fn contained(planned: Result<Planned, ConfigError>, hierarchies: &Hierarchies) {
    let planned = match planned {
        Ok(planned) => planned,
        Err(refusal) => return check_refusal(&refusal),
    };
    let mounts = hierarchies.v1.iter().map(|v1| &v1.mount).chain(hierarchies.v2.iter().map(|v2| &v2.mount));
    let mounts: Vec<_> = mounts.collect();
    for (_, directory) in planned.paths.directories() {
        let below = mounts.iter().find_map(|mount| directory.strip_prefix(mount).ok());
        let names = below.expect("below a mount point").components();
        assert!(names.clone().next().is_some(), "{directory:?} is a hierarchy");
        assert!(names.clone().all(|part| matches!(part, Component::Normal(_))), "{directory:?}");
    }
    assert_eq!(planned.paths.directories().count(), mounts.len());
}

/// What is accepted doesn't climb.
fn inside(text: &str) {
    let climbs = Path::new(text.rsplit(':').next().unwrap_or_default())
        .components()
        .any(|part| part == Component::ParentDir);
    assert_eq!(Inside::parse(text).is_err(), climbs, "{text:?}");
}
