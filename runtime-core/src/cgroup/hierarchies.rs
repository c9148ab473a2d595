//! Which cgroup hierarchies this host mounts, and where this process is in them.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, stat};

use super::files;
use super::mountinfo::{self, Mount};
use crate::error::{Context, Result};
use crate::procfs::Caller;

/// Where every distribution mounts them.
const USUAL: &str = "/sys/fs/cgroup";

/// The hierarchies that this host mounts.
///
/// A controller lives in exactly one of them. A hybrid host has both versions: version 1 with most controllers, and
/// version 2, where containers get a cgroup as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hierarchies {
    /// Those of version 1.
    pub v1: Vec<V1>,
    /// The one of version 2.
    pub v2: Option<V2>,
    /// Whose the directory is below which they are usually mounted, user and group, as our user namespace numbers them.
    pub owner: Option<(u32, u32)>,
    /// The cgroup below which relative paths begin, if somebody has chosen one.
    pub parent: Option<PathBuf>,
}

/// A hierarchy of version 1.
#[derive(Debug, Clone, PartialEq)]
pub struct V1 {
    /// Its controllers, or its name as `name=systemd`.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Which of its cgroups is mounted there.
    pub root: PathBuf,
    /// The cgroup of this process.
    pub own: PathBuf,
}

/// The hierarchy of version 2.
#[derive(Debug, Clone, PartialEq)]
pub struct V2 {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Which of its cgroups is mounted there.
    pub root: PathBuf,
    /// The cgroup of this process.
    pub own: PathBuf,
    /// The controllers that the mounted cgroup offers.
    pub controllers: Vec<String>,
}

/// Which version's files a controller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// One hierarchy for each controller, or for a few of them.
    V1,
    /// One hierarchy for all.
    V2,
}

/// A line of `/proc/self/cgroup`.
#[derive(Debug, Clone, Copy)]
struct Own<'a> {
    /// Empty for version 2.
    controllers: &'a str,
    path: &'a Path,
}

impl<'a> Own<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (_number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Own { controllers, path: Path::new(path) })
    }

    fn is_mounted_by(&self, mount: &Mount<'_>) -> bool {
        match self.controllers {
            "" => mount.kind == "cgroup2",
            names => mount.kind == "cgroup" && names.split(',').any(|name| mount.has_option(name)),
        }
    }

    /// A hierarchy may be mounted several times: the usual place is preferred, then the first.
    fn mount<'m>(&self, mounts: &'m [Mount<'m>]) -> Option<&'m Mount<'m>> {
        let mut mine = mounts.iter().filter(|mount| self.is_mounted_by(mount));
        mine.clone().find(|mount| mount.point().starts_with(USUAL)).or_else(|| mine.next())
    }
}

impl Hierarchies {
    /// Reads the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`. `controllers_at` tells what the version 2
    /// hierarchy that is mounted there offers.
    pub fn parse(
        mountinfo: &str,
        own: &str,
        controllers_at: impl Fn(&Path) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let mounts = mountinfo::cgroups(mountinfo);
        let mut found = Hierarchies::default();
        for own in own.lines().filter_map(Own::parse) {
            let Some(mount) = own.mount(&mounts) else { continue };
            let (point, root, path) = (mount.point(), mount.root(), own.path.to_owned());
            if own.controllers.is_empty() {
                let controllers = controllers_at(&point)?;
                found.v2 = Some(V2 { mount: point, root, own: path, controllers });
            } else {
                let controllers = own.controllers.split(',').map(str::to_owned).collect();
                found.v1.push(V1 { controllers, mount: point, root, own: path });
            }
        }
        Ok(found)
    }

    /// Looks at this machine.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn probe() -> Result<Self> {
        Self::of(&Caller::look()?)
    }

    /// The same, through the eyes of somebody who has looked already.
    ///
    /// Where the root of the version 2 hierarchy lies at `/sys/fs/cgroup`, mountinfo is not read: that file grows
    /// with every container.
    pub(crate) fn of(caller: &Caller) -> Result<Self> {
        let own = caller.read("cgroup")?;
        // Only version 2 has such a file.
        let usual = stat(USUAL).ok();
        let owner = usual.as_ref().map(|usual| (usual.st_uid, usual.st_gid));
        if let (true, Ok(controllers)) = (usual.is_some_and(is_root), controllers_at(Path::new(USUAL))) {
            return Ok(Hierarchies { owner, ..Self::unified(&own, controllers)? });
        }
        Ok(Hierarchies { owner, ..Self::parse(&caller.read_table("mountinfo")?, &own, controllers_at)? })
    }

    /// Takes out those that are mounted there.
    pub(super) fn split_off(&mut self, is_at: &dyn Fn(&Path) -> bool) -> Self {
        let (taken, kept) = std::mem::take(&mut self.v1).into_iter().partition(|v1| is_at(&v1.mount));
        self.v1 = kept;
        let v2 = self.v2.take_if(|v2| is_at(&v2.mount));
        Hierarchies { v1: taken, v2, owner: self.owner, parent: self.parent.clone() }
    }

    fn unified(own: &str, controllers: Vec<String>) -> Result<Self> {
        Self::parse(&format!("1 1 0:0 / {USUAL} rw - cgroup2 cgroup2 rw"), own, |_| Ok(controllers.clone()))
    }

    /// Which version has this controller, if any does. Version 1 wins, as a controller that it has is not usable in
    /// version 2.
    pub fn version_of(&self, controller: &str) -> Option<Version> {
        if self.v1_with(controller).is_some() {
            return Some(Version::V1);
        }
        let v2 = self.v2.as_ref()?;
        v2.controllers.iter().any(|each| each == controller).then_some(Version::V2)
    }

    /// The version 1 hierarchy with this controller.
    pub fn v1_with(&self, controller: &str) -> Option<&V1> {
        self.v1.iter().find(|v1| v1.controllers.iter().any(|each| each == controller))
    }

    /// Whether version 1 has any controller; a hierarchy that merely has a name doesn't count.
    pub fn has_v1_controllers(&self) -> bool {
        self.v1.iter().flat_map(|v1| &v1.controllers).any(|each| !each.starts_with("name="))
    }
}

// The root of every cgroup file system has inode 1; the root of a cgroup namespace, or of a bind mount, has not.
fn is_root(place: rustix::fs::Stat) -> bool {
    place.st_ino == 1
}

fn controllers_at(mount: &Path) -> Result<Vec<String>> {
    let path = mount.join("cgroup.controllers");
    let text =
        files::read_short(CWD, path.as_os_str()).doing(|| format!("cannot read {}", path.display()))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mountinfo: &str, own: &str, controllers: &str) -> Hierarchies {
        let controllers: Vec<String> = controllers.split_whitespace().map(str::to_owned).collect();
        Hierarchies::parse(mountinfo, own, |_| Ok(controllers.clone())).unwrap()
    }

    #[test]
    fn a_unified_host() {
        let found = parse(
            "22 1 0:20 / /sys rw - sysfs sysfs rw\n\
             29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
            "0::/user.slice/session-1.scope\n",
            "cpu memory pids",
        );
        assert_eq!(found.v1, []);
        let v2 = found.v2.as_ref().unwrap();
        assert_eq!(v2.mount, Path::new("/sys/fs/cgroup"));
        assert_eq!(
            (v2.root.as_path(), v2.own.as_path()),
            (Path::new("/"), Path::new("/user.slice/session-1.scope"))
        );
        assert_eq!(found.version_of("memory"), Some(Version::V2));
        assert_eq!(found.version_of("io"), None);
        assert!(!found.has_v1_controllers());
    }

    #[test]
    fn a_hybrid_host() {
        let found = parse(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             32 31 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            "3:cpu,cpuacct:/docker/x\n2:memory:/lost\n1:name=systemd:/a:b\n0::/a:b\n",
            "hugetlb",
        );
        let names: Vec<_> = found.v1.iter().map(|v1| v1.controllers.join(",")).collect();
        assert_eq!(names, ["cpu,cpuacct", "name=systemd"], "memory is not mounted");
        assert_eq!(found.v1_with("cpuacct").unwrap().root, Path::new("/docker/x"));
        assert_eq!(found.v1[1].own, Path::new("/a:b"));
        assert_eq!(found.version_of("hugetlb"), Some(Version::V2));
        assert_eq!(found.version_of("cpu"), Some(Version::V1));
    }

    #[test]
    fn a_named_hierarchy_is_no_controller() {
        let found =
            parse("33 31 0:30 / /c rw - cgroup cgroup rw,name=systemd", "1:name=systemd:/\n0::/\n", "");
        assert_eq!((found.v1.len(), found.has_v1_controllers()), (1, false));
        assert_eq!(found.v2, None);
    }

    #[test]
    fn the_usual_place_is_preferred_to_a_bind_mount() {
        let found = parse(
            "40 1 0:29 / /rootfs/sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             41 1 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu",
            "1:cpu:/\n",
            "",
        );
        assert_eq!(found.v1[0].mount, Path::new("/sys/fs/cgroup/cpu"));
    }

    #[test]
    fn the_short_cut_finds_what_parsing_finds() {
        let short = Hierarchies::unified("1:name=x:/\n0::/a\n", vec!["cpu".into()]).unwrap();
        assert_eq!(short, parse("9 1 0:1 / /sys/fs/cgroup rw - cgroup2 x rw", "0::/a", "cpu"));
    }

    #[test]
    fn this_machine_can_be_probed() {
        assert!(Hierarchies::probe().is_ok());
    }
}
