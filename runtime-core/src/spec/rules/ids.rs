//! Mappings of user and group ids (config-linux.md, "User namespace mappings").

use oci_spec::runtime::{self as oci, LinuxIdMapping, LinuxNamespaceType as Kind};

use super::{Check, list, namespace, wrong};
use crate::plan::Pointer;

const UIDS: Pointer = Pointer::of("/linux/uidMappings");
const GIDS: Pointer = Pointer::of("/linux/gidMappings");

pub(super) fn check(spec: &oci::Spec) -> Check {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let (uids, gids) = (list(linux.uid_mappings()), list(linux.gid_mappings()));
    let any = !uids.is_empty() || !gids.is_empty();
    match namespace(spec, Kind::User) {
        None if any => wrong(
            if uids.is_empty() { GIDS } else { UIDS },
            "user namespace mappings specified, but user namespace isn't enabled in the config; add one to /linux/namespaces",
        ),
        None => Ok(()),
        Some(user) if user.path().is_none() && !any => wrong(
            UIDS,
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified; add both mappings",
        ),
        Some(_) => check_pair(uids, gids, [UIDS, GIDS]),
    }
}

/// Checks the maps of user and of group ids that belong together.
pub(super) fn check_pair(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping], at: [Pointer; 2]) -> Check {
    let [uids_at, gids_at] = at;
    match (uids.is_empty(), gids.is_empty()) {
        (true, false) => return wrong(uids_at, "group ids are mapped, user ids are not; give both mappings"),
        (false, true) => return wrong(gids_at, "user ids are mapped, group ids are not; give both mappings"),
        _ => {}
    }
    check_ranges(uids, &uids_at)?;
    check_ranges(gids, &gids_at)
}

fn check_ranges(ranges: &[LinuxIdMapping], at: &Pointer) -> Check {
    // UID_GID_MAP_MAX_EXTENTS of the kernel.
    const MOST: usize = 340;
    if ranges.len() > MOST {
        return wrong(
            at.clone(),
            format!("{} ranges are given and the kernel takes {MOST} at most", ranges.len()),
        );
    }
    for (index, range) in ranges.iter().enumerate() {
        check_range(range, || at.child(index))?;
    }
    check_overlap(ranges, LinuxIdMapping::container_id, "containerID", at)?;
    check_overlap(ranges, LinuxIdMapping::host_id, "hostID", at)
}

fn check_range(range: &LinuxIdMapping, at: impl Fn() -> Pointer) -> Check {
    if range.size() == 0 {
        return wrong(at().child("size"), "the range is empty; give a size of at least 1");
    }
    for (field, start) in [("containerID", range.container_id()), ("hostID", range.host_id())] {
        if start.checked_add(range.size()).is_none() {
            let problem = format!("{} ids from {start} on go beyond the last one, 4294967294", range.size());
            return wrong(at().child(field), problem);
        }
    }
    Ok(())
}

fn check_overlap(
    ranges: &[LinuxIdMapping],
    start: fn(&LinuxIdMapping) -> u32,
    field: &str,
    at: &Pointer,
) -> Check {
    let mut sorted: Vec<_> = ranges.iter().enumerate().collect();
    sorted.sort_by_key(|(_, range)| start(range));
    for ((_, lower), (index, upper)) in sorted.iter().zip(sorted.iter().skip(1)) {
        if start(lower).saturating_add(lower.size()) > start(upper) {
            let problem = format!("the id {} is in two ranges; make them disjoint", start(upper));
            return wrong(at.child(index).child(field), problem);
        }
    }
    Ok(())
}
