//! Namespaces, and the fields that need one (config-linux.md, "Namespaces", "Offset for Time Namespace").

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Kind};

use super::{Check, check_absolute, list, name, namespace, quoted, wrong};
use crate::plan::Pointer;

const NAMESPACES: Pointer = Pointer::of("/linux/namespaces");
const OFFSETS: Pointer = Pointer::of("/linux/timeOffsets");

pub(super) fn check(spec: &oci::Spec) -> Check {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let namespaces = list(linux.namespaces());
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespaces.iter().take(index).any(|earlier| earlier.typ() == namespace.typ()) {
            return wrong(
                NAMESPACES.child(index),
                "a namespace of this type is given twice; keep one of them",
            );
        }
        if let Some(path) = namespace.path() {
            check_absolute(path, || NAMESPACES.child(index).child("path"))?;
        }
    }
    check_time(spec, linux)
}

fn check_time(spec: &oci::Spec, linux: &oci::Linux) -> Check {
    let offsets = linux.time_offsets().iter().flatten().collect::<std::collections::BTreeMap<_, _>>();
    if offsets.is_empty() {
        return Ok(());
    }
    match namespace(spec, Kind::Time) {
        None => wrong(OFFSETS, "time offsets need a time namespace; add one to /linux/namespaces")?,
        Some(joined) if joined.path().is_some() => wrong(
            OFFSETS,
            "the offsets of a time namespace that is joined by path can't be changed; leave one of both out",
        )?,
        Some(_) => {}
    }
    offsets.into_iter().try_for_each(|(clock, offset)| check_offset(clock, offset))
}

fn check_offset(clock: &str, offset: &oci::LinuxTimeOffset) -> Check {
    const SECOND: u32 = 1_000_000_000;
    let pointer = || OFFSETS.child(name(clock));
    if !matches!(clock, "boottime" | "monotonic") {
        let problem =
            format!("the clock {} can't be changed, only boottime and monotonic can", quoted(clock));
        return wrong(pointer(), problem);
    }
    match offset.nanosecs() {
        Some(nanosecs) if nanosecs >= SECOND => wrong(
            pointer().child("nanosecs"),
            format!("{nanosecs} ns are more than a second; use secs as well"),
        ),
        _ => Ok(()),
    }
}

/// Checks the names that a UTS namespace holds.
pub(super) fn check_names(spec: &oci::Spec) -> Check {
    check_name(spec, "hostname", spec.hostname())?;
    check_name(spec, "domainname", spec.domainname())
}

fn check_name(spec: &oci::Spec, field: &str, value: &Option<String>) -> Check {
    const LONGEST: usize = 64;
    let Some(value) = value else { return Ok(()) };
    let pointer = Pointer::NONE.child(field);
    if namespace(spec, Kind::Uts).is_none() {
        let problem =
            format!("unable to set {field} without a private UTS namespace; add one to /linux/namespaces");
        return wrong(pointer, problem);
    }
    if value.len() > LONGEST {
        let problem = format!("the name has {} bytes and may have {LONGEST} at most", value.len());
        return wrong(pointer, problem);
    }
    Ok(())
}
