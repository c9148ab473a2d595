//! Kernel parameters that a container may have for itself (config-linux.md, "Sysctl").
//!
//! Only parameters that belong to a namespace of the container are let through: any other would change the host.

use oci_spec::runtime::{self as oci, LinuxNamespaceType as Kind};

use super::{Spec, name, quoted, rules};
use crate::error::ConfigError;
use crate::plan::Pointer;

/// The path below `/proc/sys` of a parameter.
///
/// The first separator decides: after a `/` the rest is a path already (`net/ipv4/conf/eth0.1/forwarding`), after a
/// `.` dots separate and slashes stand for dots (`net.ipv4.conf.eth0/1.forwarding`).
///
/// # Errors
/// A part is empty, `.` or `..`; the pointer is the key's below `/linux/sysctl`.
pub fn sysctl_path(key: &str) -> Result<String, ConfigError> {
    let path = if key.find(['.', '/']).is_some_and(|first| key.as_bytes().get(first) == Some(&b'.')) {
        key.chars().map(swapped).collect()
    } else {
        key.to_owned()
    };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
        return Err(mistake(
            key,
            format!("sysctl {} is not a valid name; write it like net.ipv4.ip_forward", quoted(key)),
        ));
    }
    Ok(path)
}

fn swapped(letter: char) -> char {
    match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

fn mistake(key: &str, problem: String) -> ConfigError {
    ConfigError::new(Pointer::of("/linux/sysctl").child(name(key)), problem)
}

/// Whether a parameter of the configuration belongs to namespaces of this type.
pub(crate) fn concern(spec: &Spec, kind: Kind) -> bool {
    sorted(spec.oci()).is_ok_and(|parameters| parameters.iter().any(|(_, path)| owner(path) == Some(kind)))
}

/// Checks every name against the allow list and the container's namespaces.
pub(super) fn check(spec: &oci::Spec) -> Result<(), ConfigError> {
    let mut previous: Option<&str> = None;
    let mut paths = sorted(spec)?;
    for (key, path) in &paths {
        check_one(spec, key, path)?;
    }
    paths.sort_by(|a, b| a.1.cmp(&b.1));
    for (key, path) in &paths {
        if previous == Some(path) {
            return Err(mistake(
                key,
                format!("sysctl {} is given twice, with different separators", quoted(key)),
            ));
        }
        previous = Some(path);
    }
    Ok(())
}

// A map has no order of its own; errors should not change from run to run.
fn sorted(spec: &oci::Spec) -> Result<Vec<(&str, String)>, ConfigError> {
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    let mut keys: Vec<&str> = sysctls.into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| Ok((key, sysctl_path(key)?))).collect()
}

fn check_one(spec: &oci::Spec, key: &str, path: &str) -> Result<(), ConfigError> {
    let Some(kind) = owner(path) else {
        return Err(mistake(key, unowned(key, path)));
    };
    match rules::namespace(spec, kind) {
        Some(_) => Ok(()),
        None => Err(mistake(key, in_hosts(key, kind))),
    }
}

fn unowned(key: &str, path: &str) -> String {
    match path {
        "kernel/hostname" => format!("sysctl {} is not allowed, the field /hostname sets it", quoted(key)),
        _ => format!(
            "sysctl {} is not in a separate kernel namespace, so it would change the host",
            quoted(key)
        ),
    }
}

fn in_hosts(key: &str, kind: Kind) -> String {
    let key = quoted(key);
    let advice = "give the container one of its own in /linux/namespaces";
    match kind {
        Kind::Ipc => format!("sysctl {key} is not allowed in the hosts ipc namespace; {advice}"),
        Kind::Network => format!("sysctl {key} is not allowed in host network namespace; {advice}"),
        kind => format!("sysctl {key} is not in a separate kernel namespace ({kind}); {advice}"),
    }
}

/// The type of the namespaces that a parameter belongs to.
fn owner(path: &str) -> Option<Kind> {
    match path {
        "kernel/msgmax"
        | "kernel/msgmnb"
        | "kernel/msgmni"
        | "kernel/sem"
        | "kernel/shmall"
        | "kernel/shmmax"
        | "kernel/shmmni"
        | "kernel/shm_rmid_forced" => Some(Kind::Ipc),
        "kernel/domainname" => Some(Kind::Uts),
        _ if path.starts_with("fs/mqueue/") => Some(Kind::Ipc),
        _ if path.starts_with("net/") => Some(Kind::Network),
        _ if path.starts_with("user/") => Some(Kind::User),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
