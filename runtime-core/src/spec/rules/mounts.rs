//! The root filesystem, mounts, and the paths that are hidden or made read-only.

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Kind};

use super::{Check, check_absolute, ids, list, namespace, quoted, wrong};
use crate::error::ConfigError;
use crate::plan::Pointer;

const MOUNTS: Pointer = Pointer::of("/mounts");

pub(super) fn check_root(spec: &oci::Spec) -> Check {
    match spec.root() {
        None => wrong("/root", "the root filesystem is missing; give its path"),
        Some(root) if root.path().as_os_str().is_empty() => {
            wrong("/root/path", "the path of the root filesystem is missing")
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn check(spec: &oci::Spec) -> Check {
    let own_users = namespace(spec, Kind::User).is_some();
    for (index, mount) in list(spec.mounts()).iter().enumerate() {
        if mount.destination().as_os_str().is_empty() {
            return wrong(MOUNTS.child(index).child("destination"), "the destination may not be empty");
        }
        check_mapping(mount, own_users, &MOUNTS.child(index))?;
    }
    Ok(())
}

fn check_mapping(mount: &oci::Mount, own_users: bool, at: &Pointer) -> Check {
    let (uids, gids) = (list(mount.uid_mappings()), list(mount.gid_mappings()));
    let mapped = !uids.is_empty() || !gids.is_empty();
    if !mapped && !has_option(mount, &["idmap", "ridmap"]) {
        return Ok(());
    }
    if !is_bind(mount) {
        return wrong(
            at.clone(),
            "id-mapped mounts are only supported for bind-mounts; add the option bind or rbind",
        );
    }
    if !mapped && !own_users {
        let problem = "an id-mapped mount needs mappings, or a user namespace whose mappings it can use";
        return wrong(at.child("options"), problem);
    }
    ids::check_pair(uids, gids, [at.child("uidMappings"), at.child("gidMappings")])
}

fn is_bind(mount: &oci::Mount) -> bool {
    mount.typ().as_deref() == Some("bind") || has_option(mount, &["bind", "rbind"])
}

fn has_option(mount: &oci::Mount, wanted: &[&str]) -> bool {
    list(mount.options()).iter().any(|option| wanted.contains(&option.as_str()))
}

/// Mounts whose destination is relative, as old tools write it: allowed, deprecated.
pub(super) fn relative_destinations(spec: &oci::Spec) -> impl Iterator<Item = ConfigError> {
    let relative = |(_, mount): &(usize, &oci::Mount)| mount.destination().is_relative();
    list(spec.mounts()).iter().enumerate().filter(relative).map(|(index, mount)| {
        let destination = quoted(&mount.destination().to_string_lossy());
        let problem =
            format!("the destination {destination} is relative and is taken from /; begin it with /");
        ConfigError::new(MOUNTS.child(index).child("destination"), problem)
    })
}

/// Checks what `linux` says about the mount namespace as a whole.
pub(super) fn check_restrictions(spec: &oci::Spec) -> Check {
    let Some(linux) = spec.linux() else { return Ok(()) };
    check_paths(spec, linux.masked_paths(), Pointer::of("/linux/maskedPaths"))?;
    check_paths(spec, linux.readonly_paths(), Pointer::of("/linux/readonlyPaths"))?;
    check_propagation(linux)?;
    check_label(linux)
}

// File systems get it between quotes, among other parameters.
fn check_label(linux: &oci::Linux) -> Check {
    match linux.mount_label().as_deref().filter(|label| label.contains('"')) {
        Some(label) => {
            wrong("/linux/mountLabel", format!("{} is no SELinux label: it contains a quote", quoted(label)))
        }
        None => Ok(()),
    }
}

fn check_paths(spec: &oci::Spec, paths: &Option<Vec<String>>, at: Pointer) -> Check {
    let paths = list(paths);
    if !paths.is_empty() && namespace(spec, Kind::Mount).is_none() {
        let problem =
            "unable to restrict sys entries without a private MNT namespace; add one to /linux/namespaces";
        return wrong(at, problem);
    }
    for (index, path) in paths.iter().enumerate() {
        check_absolute(path.as_ref(), || at.child(index))?;
    }
    Ok(())
}

fn check_propagation(linux: &oci::Linux) -> Check {
    let Some(propagation) = linux.rootfs_propagation() else { return Ok(()) };
    // Engines also send the recursive forms.
    match propagation.strip_prefix('r').unwrap_or(propagation) {
        "shared" | "slave" | "private" | "unbindable" => Ok(()),
        _ => wrong(
            "/linux/rootfsPropagation",
            format!("{} is unknown; use shared, slave, private or unbindable", quoted(propagation)),
        ),
    }
}
