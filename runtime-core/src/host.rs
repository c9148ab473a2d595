//! What this machine offers, probed once. Planning takes the result as plain data.

use rustix::process::Resource;

use crate::cgroup::{Closed, Hierarchies, Paths};
use crate::error::{Error, Result};
use crate::procfs::Caller;
use crate::spec::Spec;
use crate::sys::calls;

/// Facts about the machine and the caller that a plan depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// The cgroup hierarchies in which a container gets a cgroup, and where this process is in them.
    pub cgroups: Hierarchies,
    /// Those in which it gets none.
    pub closed: Option<Closed>,
    /// The effective user of this process.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// The capability bounding set of this process, bit n for capability n.
    pub bounding: u64,
    /// The permitted capabilities of this process.
    pub permitted: u64,
    /// Signals that this process ignores (bit n-1 for signal n): a container must not inherit that.
    pub ignored_signals: u64,
    /// Whether this process may have been told to stay on some of the CPUs: a container must not inherit that.
    pub on_some_cpus: bool,
    /// Whether this process has supplementary groups.
    pub has_groups: bool,
    /// Whether it has some that nobody can leave in its user namespace.
    pub denies_groups: bool,
    /// Whether its user namespace is not the first one, where nobody can make devices.
    pub in_user_namespace: bool,
    /// The kernel's version, major and minor.
    pub kernel: (u32, u32),
    /// Whether there is `clone3`.
    pub has_clone3: bool,
    /// Whether there are `open_tree`, `move_mount` and `mount_setattr`.
    pub has_mount_calls: bool,
    /// How many descriptors a process may have (`RLIMIT_NOFILE`, soft).
    pub descriptor_limit: u64,
    /// The security modules that label processes. Few configurations name labels, so that nobody looks for these
    /// without being asked: [`Host::knowing_modules_for`].
    pub modules: Modules,
}

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// Security modules that are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modules {
    /// AppArmor.
    pub apparmor: bool,
    /// SELinux, with a policy.
    pub selinux: bool,
}

impl Modules {
    /// Looks for them.
    pub fn probe() -> Self {
        // A module that is built in, but not at work, refuses to be read from.
        let Ok(caller) = Caller::look() else { return Modules::default() };
        let says = |file: &str| caller.read(&format!("attr/{file}")).unwrap_or_default();
        let has_policy = || !matches!(says("current").trim_end_matches(['\0', '\n']), "" | "kernel");
        Modules {
            apparmor: !says("apparmor/current").is_empty(),
            selinux: is_selinux_mounted() && has_policy(),
        }
    }
}

fn is_selinux_mounted() -> bool {
    const SELINUX_MAGIC: u32 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|found| found.f_type as u32 == SELINUX_MAGIC)
}

/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u64 = 1 << 21;

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    /// `/proc` is missing, or says nothing about this process.
    pub fn probe() -> Result<Self> {
        let caller = Caller::look()?;
        let host = Self::with(Hierarchies::of(&caller)?, &caller)?;
        match host.is_root() {
            true => Ok(host),
            false => {
                Ok(Host { in_user_namespace: is_in_user_namespace(&caller), ..host.knowing_groups(&caller) })
            }
        }
    }

    /// Looks at this machine, for a container whose cgroup is there, wherever its maker could make one.
    ///
    /// # Errors
    /// As for [`Host::probe`].
    pub fn probe_around(cgroup: &Paths) -> Result<Self> {
        let mut host = Self::probe()?;
        host.close(&|place| !cgroup.is_at(place), String::new());
        Ok(host)
    }

    /// Looks at this machine, for a process that goes into a container's cgroup: where that lies is known.
    ///
    /// # Errors
    /// As for [`Host::probe`].
    pub fn probe_for(cgroup: &Paths) -> Result<Self> {
        let caller = Caller::look()?;
        Ok(Self::with(cgroup.hierarchies(), &caller)?.knowing_groups(&caller))
    }

    fn with(cgroups: Hierarchies, caller: &Caller) -> Result<Self> {
        let status = caller.status();
        let silent = |name: &str| Error::Died(format!("/proc/self/status says nothing about {name}"));
        let set = |name: &str| hexadecimal(status, name).ok_or_else(|| silent(name));
        // What a kernel has, a filter around us may not know. Nobody else needs to ask.
        let filtered = hexadecimal(status, "Seccomp:") == Some(2);
        let kernel = kernel_version(&rustix::system::uname().release().to_string_lossy());
        let permitted = set("CapPrm:")?;
        let id = |name: &str| effective(status, name).ok_or_else(|| silent(name));
        Ok(Host {
            has_clone3: !filtered || calls::has_clone3(),
            // KERNEL(5.12): mount_setattr.
            has_mount_calls: kernel >= (5, 12)
                && (!filtered || calls::has_mounts(permitted & SYS_ADMIN != 0)),
            cgroups,
            closed: None,
            uid: id("Uid:")?,
            gid: id("Gid:")?,
            bounding: set("CapBnd:")?,
            permitted,
            ignored_signals: set("SigIgn:")?,
            on_some_cpus: !has_all_cpus(status),
            has_groups: status
                .lines()
                .any(|line| line.strip_prefix("Groups:").is_some_and(|list| !list.trim().is_empty())),
            denies_groups: false,
            in_user_namespace: false,
            descriptor_limit: rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            kernel,
            modules: Modules::default(),
        })
    }

    /// The same, knowing the security modules if a plan for this configuration depends on them.
    #[must_use]
    pub fn knowing_modules_for(self, spec: &Spec) -> Self {
        match spec.has_labels() {
            true => Host { modules: Modules::probe(), ..self },
            false => self,
        }
    }

    /// Whether a process can be born in a cgroup (version 2).
    pub fn has_clone_into_cgroup(&self) -> bool {
        // KERNEL(5.7): CLONE_INTO_CGROUP.
        self.kernel >= (5, 7) && self.has_clone3 && self.cgroups.v2.is_some()
    }

    /// Whether this process is root, and not only of a user namespace: root of one sees the host's directories in somebody
    /// else's hands. This costs nothing, unlike a look at the namespace's map.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0 && self.cgroups.owner == Some((0, 0))
    }

    /// The same, knowing whether its user namespace lets it leave its groups. Root can, and needn't look.
    fn knowing_groups(self, caller: &Caller) -> Self {
        Host { denies_groups: self.has_groups && denies_groups(caller), ..self }
    }

    /// Whether this process may map any ids of its user namespace into another one.
    pub fn may_map_any_ids(&self) -> bool {
        let both = 1 << CAP_SETUID | 1 << CAP_SETGID;
        self.permitted & both == both
    }

    /// The kernel's capabilities, which a new user namespace grants in full.
    pub fn all_capabilities(&self) -> u64 {
        // KERNEL(5.9): CAP_CHECKPOINT_RESTORE; 5.8 brought CAP_PERFMON and CAP_BPF.
        let count = match self.kernel {
            (5, 8) => 40,
            kernel if kernel < (5, 8) => 38,
            _ => 41,
        };
        (1 << count) - 1
    }
}

/// Whether the mask of CPUs is full. It has a bit for each CPU that the machine can have, so that only whole digits can
/// be told to be.
fn has_all_cpus(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"));
    mask.is_some_and(|mask| mask.trim().bytes().all(|digit| digit == b'f' || digit == b','))
}

fn hexadecimal(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether our user namespace is not the first one.
pub(crate) fn in_user_namespace() -> bool {
    Caller::look().is_ok_and(|caller| is_in_user_namespace(&caller))
}

/// The first one maps all ids to themselves.
fn is_in_user_namespace(caller: &Caller) -> bool {
    let map = caller.read("uid_map").unwrap_or_default();
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

fn denies_groups(caller: &Caller) -> bool {
    caller.read("setgroups").is_ok_and(|word| word.trim() == "deny")
}

/// The second id of a line: after the real one, before the saved one and that for files.
fn effective(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_read_up_to_the_minor_number() {
        for (release, version) in [("6.18.44-fc", (6, 18)), ("5.4", (5, 4)), ("6", (6, 0)), ("", (0, 0))] {
            assert_eq!(kernel_version(release), version, "{release}");
        }
    }

    #[test]
    fn status_lines_are_hexadecimal_sets() {
        let status = "Name:\tx\nSigIgn:\t0000000000001000\nCapBnd:\t000001fffeffffff\n";
        assert_eq!(hexadecimal(status, "SigIgn:"), Some(1 << 12));
        assert_eq!(hexadecimal(status, "CapBnd:"), Some(0x1ff_feff_ffff));
        assert_eq!(hexadecimal(status, "CapPrm:"), None);
        assert_eq!(effective("Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", "Gid:"), Some(6));
        assert_eq!(effective("Uid:\t1\n", "Uid:"), None);
    }

    #[test]
    fn a_mask_of_cpus_is_full_or_may_not_be() {
        for (mask, full) in [("ff", true), ("f,ffffffff", true), ("3", false), ("ff,fffffffe", false)] {
            assert_eq!(has_all_cpus(&format!("Name:\tx\nCpus_allowed:\t{mask}\n")), full, "{mask}");
        }
        assert!(!has_all_cpus(""));
    }

    #[test]
    fn this_machine_can_be_probed() {
        let host = Host::probe().unwrap();
        assert!(host.kernel >= (5, 4), "{host:?}");
    }
}
