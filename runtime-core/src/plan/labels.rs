//! What the security modules AppArmor and SELinux know the container's parts by: the profile or the label of its program,
//! of its keys and of its file systems.

use super::draft::{Draft, text};
use super::{Pointer, Request};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Labelled, Step};

const PROFILE: &str = "/process/apparmorProfile";
const LABEL: &str = "/process/selinuxLabel";
const MOUNT_LABEL: &str = "/linux/mountLabel";

/// File systems that can't be mounted with a label: policies have rules of their own for these, or a part of the kernel
/// made them before.
const UNLABELLED: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

/// Without its module a label is no more than a word: nothing would be confined.
pub(super) fn check(spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    const APPARMOR: &str = "apparmor: config provided but apparmor not supported: it is not enabled on this host \
                            (/sys/module/apparmor/parameters/enabled); leave the profile out, or enable it";
    const SELINUX: &str = "selinux label is specified in config, but selinux is disabled or not supported on this \
                           host (/sys/fs/selinux); leave the label out, or enable it";
    let modules = host.modules;
    let asked = [
        (PROFILE, spec.apparmor_profile().is_some(), modules.apparmor, APPARMOR),
        (LABEL, spec.selinux_label().is_some(), modules.selinux, SELINUX),
        (MOUNT_LABEL, spec.mount_label().is_some(), modules.selinux, SELINUX),
    ];
    match asked.into_iter().find(|(_, asked, there, _)| *asked && !there) {
        Some((pointer, .., problem)) => Err(ConfigError::new(pointer, problem)),
        None => Ok(()),
    }
}

/// The keyring that is made next belongs to the program.
pub(super) fn of_keys(plan: &mut Draft, spec: &Spec, request: &Request) -> Result<(), ConfigError> {
    if let (Some(label), false) = (spec.selinux_label(), request.no_new_keyring) {
        let label = text(&Pointer::of(LABEL), label)?;
        plan.init(LABEL, Step::SetLabel { of: Labelled::Keys, label });
    }
    Ok(())
}

/// What this process executes is confined. Init executes nothing but the program.
pub(super) fn of_program(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    if let Some(profile) = spec.apparmor_profile() {
        let label = text(&Pointer::of(PROFILE), format!("exec {profile}"))?;
        plan.init(PROFILE, Step::SetLabel { of: Labelled::Profile, label });
    }
    if let Some(label) = spec.selinux_label() {
        let label = text(&Pointer::of(LABEL), label)?;
        plan.init(LABEL, Step::SetLabel { of: Labelled::Process, label });
    }
    Ok(())
}

/// The parameters of a file system, with the label of all that is in it.
pub(super) fn parameters(spec: &Spec, fstype: &str, data: &str) -> String {
    match spec.mount_label().filter(|_| !UNLABELLED.contains(&fstype)) {
        None => data.into(),
        Some(label) if data.is_empty() => format!("context=\"{label}\""),
        Some(label) => format!("{data},context=\"{label}\""),
    }
}

/// Message queues are there before they are mounted, so that they are labelled after it.
pub(super) fn of_mount(plan: &mut Draft, spec: &Spec, fstype: &str, path: &str) -> Result<(), ConfigError> {
    if let (Some(label), "mqueue") = (spec.mount_label(), fstype) {
        let origin = Pointer::of(MOUNT_LABEL);
        let (path, label) = (text(&origin, path)?, text(&origin, label)?);
        plan.init(origin, Step::LabelMount { path, label });
    }
    Ok(())
}
