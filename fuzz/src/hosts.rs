//! The hosts that plans are made for.

use std::path::Path;

use runtime_core::Host;
use runtime_core::cgroup::{Hierarchies, V1, V2};
use runtime_core::host::Modules;

/// Version 2 alone, and version 1 alone.
pub(crate) fn hosts() -> [Host; 2] {
    [version_2(), version_1()].map(host)
}

/// Its cgroups.
pub(crate) fn version_2() -> Hierarchies {
    let v2 = V2 {
        mount: "/sys/fs/cgroup".into(),
        root: "/".into(),
        own: "/engine".into(),
        controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"].map(str::to_owned).into(),
    };
    Hierarchies { v1: Vec::new(), v2: Some(v2), owner: Some((0, 0)), parent: None }
}

/// Its cgroups.
pub(crate) fn version_1() -> Hierarchies {
    let v1 = |name: &str| V1 {
        controllers: vec![name.into()],
        mount: Path::new("/sys/fs/cgroup").join(name),
        root: "/".into(),
        own: "/engine".into(),
    };
    Hierarchies {
        v1: ["memory", "cpu", "devices", "pids"].map(v1).into(),
        v2: None,
        owner: Some((0, 0)),
        parent: None,
    }
}

fn host(cgroups: Hierarchies) -> Host {
    Host {
        cgroups,
        closed: None,
        uid: 0,
        gid: 0,
        bounding: (1 << 41) - 1,
        permitted: (1 << 41) - 1,
        ignored_signals: 0,
        kernel: (6, 12),
        has_groups: false,
        denies_groups: false,
        in_user_namespace: false,
        on_some_cpus: false,
        descriptor_limit: 1024,
        has_clone3: true,
        has_mount_calls: true,
        modules: Modules { apparmor: true, selinux: true },
    }
}
