//! What this library can do, as the specification wants it told (features.md): about the program, whatever machine it
//! runs on. Each answer comes from the table or the check that a configuration meets.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::hooks::Kind;
use crate::plan;
use crate::seccomp;
use crate::spec::{self, OCI_VERSION};
use crate::step::Namespace;

/// What this library can do. As JSON it has the keys of the specification; a list that is empty means "none".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// The oldest version of the specification whose configurations are understood.
    pub oci_version_min: String,
    /// The newest.
    pub oci_version_max: String,
    /// The kinds of hooks.
    pub hooks: Vec<&'static str>,
    /// The options that are not handed to file systems, sorted.
    pub mount_options: Vec<String>,
    /// What only Linux has.
    pub linux: Linux,
    /// Anything else, for those who know what to look for.
    pub annotations: BTreeMap<String, String>,
    /// Annotations of a configuration that change what is done: an engine must not pass on those of strangers.
    pub potentially_unsafe_config_annotations: Vec<String>,
}

/// What only Linux has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is the field of the specification")]
pub struct Linux {
    pub namespaces: Vec<&'static str>,
    pub capabilities: Vec<String>,
    pub cgroup: Cgroup,
    pub seccomp: Seccomp,
    pub apparmor: Enabled,
    pub selinux: Enabled,
    pub intel_rdt: IntelRdt,
    pub memory_policy: MemoryPolicy,
    pub mount_extensions: MountExtensions,
    pub net_devices: Enabled,
}

/// Something that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Enabled {
    /// Whether it is there.
    pub enabled: bool,
}

/// Who manages cgroups, and of which versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is the field of the specification")]
pub struct Cgroup {
    pub v1: bool,
    pub v2: bool,
    pub systemd: bool,
    pub systemd_user: bool,
    pub rdma: bool,
}

/// System call filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is the field of the specification")]
pub struct Seccomp {
    pub enabled: bool,
    pub actions: Vec<String>,
    pub operators: Vec<String>,
    pub archs: Vec<String>,
    pub known_flags: Vec<String>,
    pub supported_flags: Vec<String>,
}

/// Shares of caches and of memory bandwidth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each is the field of the specification")]
pub struct IntelRdt {
    pub enabled: bool,
    pub schemata: bool,
    pub monitoring: bool,
}

/// On which memory nodes a process allocates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each is the field of the specification")]
pub struct MemoryPolicy {
    pub modes: Vec<String>,
    pub flags: Vec<String>,
}

/// What mounts can do beyond options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountExtensions {
    /// Id-mapped mounts.
    pub idmap: Enabled,
}

/// What this library can do.
pub fn features() -> Features {
    Features {
        oci_version_min: "1.0.0".into(),
        oci_version_max: OCI_VERSION.into(),
        hooks: Kind::ALL.map(Kind::word).into(),
        mount_options: plan::mount_options(),
        linux: linux(),
        annotations: BTreeMap::new(),
        // All those that begin so, as the dot says.
        potentially_unsafe_config_annotations: vec![crate::cgroup::ANNOTATIONS.into()],
    }
}

fn linux() -> Linux {
    let accepts = |pointer| Enabled { enabled: spec::accepts(pointer) };
    let rdt = spec::accepts("/linux/intelRdt");
    let mut namespaces: Vec<_> = (1..).map_while(Namespace::from_code).map(Namespace::word).collect();
    namespaces.sort_unstable();
    let (modes, flags) = plan::memory_policies();
    Linux {
        namespaces,
        capabilities: plan::capability_names().collect(),
        cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
        seccomp: seccomp(),
        apparmor: accepts("/process/apparmorProfile"),
        selinux: accepts("/process/selinuxLabel"),
        intel_rdt: IntelRdt { enabled: rdt, schemata: rdt, monitoring: rdt },
        memory_policy: MemoryPolicy { modes, flags },
        mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        net_devices: accepts("/linux/netDevices"),
    }
}

fn seccomp() -> Seccomp {
    let flags = seccomp::flags();
    Seccomp {
        enabled: true,
        actions: seccomp::actions(),
        operators: seccomp::operators(),
        archs: seccomp::architectures(),
        known_flags: flags.clone(),
        supported_flags: flags,
    }
}

#[cfg(test)]
mod tests;
