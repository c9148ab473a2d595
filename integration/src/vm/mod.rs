//! Virtual machines under software emulation: other kernels, and cgroups as the host does not have them.
//!
//! A guest is Debian on a disk whose changes are lost, a kernel of Debian, and an init that makes a [`World`] and runs
//! one job in it. What it is made of comes from Debian's archive, is checked by apt, and is kept in [`cache`].

mod built;
mod debian;
mod disks;
mod files;
mod guest;
mod kernels;
pub mod matrix;
pub mod memory;
mod qemu;
pub mod report;
pub mod row;
pub mod runs;
pub mod words;

use std::path::PathBuf;

pub use built::Built;
pub use disks::{Image, prepare};
pub use files::Files;
pub use guest::{Guest, Job};
pub use kernels::Kernel;

/// How a guest lays out its cgroups, and who started its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// Nothing but cgroup2, with all controllers, and no service manager.
    V2,
    /// Nothing but version 1, with all controllers that the kernel has for it.
    V1,
    /// All controllers on version 1, and a cgroup2 tree without any.
    Hybrid,
    /// Nothing but cgroup2, and systemd.
    Systemd,
    /// Systemd as it was before: all controllers on version 1, and a cgroup2 tree without any.
    SystemdV1,
}

impl World {
    /// All of them.
    pub const ALL: [World; 5] = [World::V2, World::V1, World::Hybrid, World::Systemd, World::SystemdV1];

    /// Its name, on command lines and in tables.
    pub fn name(self) -> &'static str {
        match self {
            World::V2 => "v2",
            World::V1 => "v1",
            World::Hybrid => "hybrid",
            World::Systemd => "systemd",
            World::SystemdV1 => "systemd-v1",
        }
    }

    /// What its kernel is told, besides its name.
    fn words(self) -> &'static str {
        match self {
            World::SystemdV1 => "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
            _ => "",
        }
    }

    /// The world of this name.
    pub fn named(name: &str) -> Option<World> {
        World::ALL.into_iter().find(|world| world.name() == name)
    }
}

/// Where everything that was fetched and made is kept: `VM_CACHE`, or `/var/cache/runtime-tests`. Removing it means
/// fetching anew.
pub fn cache() -> PathBuf {
    std::env::var_os("VM_CACHE").map_or_else(|| PathBuf::from("/var/cache/runtime-tests"), PathBuf::from)
}
