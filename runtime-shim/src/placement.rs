//! Where a shim lies in the machine's order of things: its cgroup, and when it is killed for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use rustix::process::{Pid, getpid, getppid};

use crate::log;
use crate::refusal::{Doing, Refusal};

const CGROUPS: &str = "/sys/fs/cgroup";

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2: u32 = 0x6367_7270;

/// The kernel's highest value: killed first.
const HIGHEST_SCORE: i32 = 1000;

/// Whether all controllers are those of version 2.
pub(crate) fn is_unified() -> bool {
    statfs(CGROUPS).is_ok_and(|found| u32::try_from(found.f_type) == Ok(CGROUP2))
}

/// Puts this process into a cgroup, from the top of each hierarchy that has it.
///
/// # Errors
/// There is no such cgroup, or it takes nobody.
pub(crate) fn enter(cgroup: &str) -> Result<(), Refusal> {
    let places = places(Path::new(CGROUPS), cgroup, is_unified());
    if places.is_empty() {
        return Err(Refusal::invalid(format!("there is no cgroup {cgroup:?} for the shim")));
    }
    let pid = Pid::as_raw(Some(getpid())).to_string();
    places.iter().try_for_each(|place| {
        fs::write(place, &pid).doing(|| format!("cannot put the shim into {}", place.display()))
    })
}

/// The files by which a cgroup is entered.
fn places(mount: &Path, cgroup: &str, unified: bool) -> Vec<PathBuf> {
    let inside = Path::new(cgroup.trim_start_matches('/')).join("cgroup.procs");
    let hierarchies: Vec<PathBuf> = match unified {
        true => vec![mount.to_owned()],
        false => fs::read_dir(mount).into_iter().flatten().flatten().map(|entry| entry.path()).collect(),
    };
    // `cpu` and the like may be links to hierarchies that are there as well.
    let own = hierarchies.into_iter().filter(|hierarchy| !hierarchy.is_symlink());
    own.map(|hierarchy| hierarchy.join(&inside)).filter(|file| file.is_file()).collect()
}

/// Lets the kernel kill this process, and those that it starts, sooner than containerd, which is its parent.
pub(crate) fn yield_to_parent() {
    let score = |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj"));
    let Ok(text) = score(&Pid::as_raw(getppid()).to_string()) else { return };
    let Some(wanted) = after(&text) else { return };
    if let Err(error) = fs::write("/proc/self/oom_score_adj", wanted.to_string()) {
        log::warn(format!("cannot set the shim's OOM score: {error}"));
    }
}

fn after(score: &str) -> Option<i32> {
    score.trim().parse::<i32>().ok().filter(|score| *score < HIGHEST_SCORE).map(|score| score + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_comes_after_containerd() {
        assert_eq!(
            (after("-999\n"), after("0"), after("1000\n"), after("x")),
            (Some(-998), Some(1), None, None)
        );
    }

    #[test]
    fn a_cgroup_is_entered_in_every_hierarchy_that_has_it() {
        let mount = std::env::temp_dir().join(format!("shim-placement-{}", std::process::id()));
        for hierarchy in ["cpu/shims", "memory/shims", "pids"] {
            fs::create_dir_all(mount.join(hierarchy)).unwrap();
            fs::write(mount.join(hierarchy).join("cgroup.procs"), "").unwrap();
        }
        let found = places(&mount, "/shims", false);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(places(&mount.join("memory"), "shims", true).len(), 1);
        assert!(places(&mount, "/none", false).is_empty());
        fs::remove_dir_all(&mount).unwrap();
    }
}
