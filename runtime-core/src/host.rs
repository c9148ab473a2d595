//! What this machine offers, probed once. Planning takes the result as plain data.

use std::path::PathBuf;

use crate::cgroup::Hierarchies;
use crate::error::Result;

/// Facts about the machine and the caller that a plan depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The cgroup hierarchies and where this process is in them.
    pub cgroups: Hierarchies,
    /// This process's capability bounding set, bit n for capability n.
    pub bounding: u64,
    /// Signals that this process ignores (bit n-1 for signal n): a container must not inherit that.
    pub ignored_signals: u64,
    /// The effective user id.
    pub euid: u32,
    /// Whether `/proc/kcore` exists; then `/dev/core` points to it.
    pub has_kcore: bool,
    /// The kernel's version, major and minor.
    pub kernel: (u32, u32),
    /// Whether AppArmor is enabled.
    pub apparmor: bool,
    /// Whether SELinux is enabled.
    pub selinux: bool,
    /// The namespaces of this process as (type, inode), to tell whether a path leads to the host's own.
    pub namespaces: Vec<(crate::step::Namespace, u64)>,
    /// The root of the trusted procfs, normally `/proc`.
    pub proc: PathBuf,
}

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    /// `/proc` is missing, or is not a procfs.
    pub fn probe() -> Result<Self> {
        Err(crate::error::Error::Died("unwritten".into()))
    }
}
