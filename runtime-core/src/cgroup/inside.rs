//! Where a further process of a container goes: into its cgroup, or one below.

use std::path::{Component, Path, PathBuf};

use rustix::fs::CWD;

use super::create::{SUBTREE, open};
use super::files;
use super::handle::Cgroup;
use super::hierarchies::{Hierarchies, Version};
use super::paths::{Inner, Paths, Place, below_root};
use crate::error::{Error, Result};
use crate::procfs;

/// A cgroup below a container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The version 1 controllers in whose hierarchies it is meant; in all hierarchies if there are none.
    controllers: Vec<String>,
    /// Below the container's cgroup; empty for that itself.
    path: PathBuf,
}

impl Inside {
    /// Reads `[CONTROLLER[,CONTROLLER]…:]PATH`; the path begins at the container's cgroup, also if it is absolute.
    ///
    /// # Errors
    /// The path leads out of there (CVE class of `--cgroup ../other`).
    pub fn parse(text: &str) -> Result<Self> {
        let (controllers, path) = text.rsplit_once(':').unwrap_or(("", text));
        let mut below = PathBuf::new();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => below.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    let problem =
                        format!("the cgroup {text:?} is not below the container's: leave out \"..\"");
                    return Err(Error::Cgroup(problem));
                }
            }
        }
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Inside { controllers, path: below })
    }

    fn concerns(&self, place: &Place) -> bool {
        self.controllers.is_empty() || self.controllers.iter().any(|controller| place.has(controller))
    }
}

impl Paths {
    /// Opens the cgroups that a further process goes into. Where version 2 allows no process in the container's own
    /// cgroup, since the container has handed controllers down, it is the one in which `init` is.
    ///
    /// # Errors
    /// There is no such cgroup, or `wanted` names a controller that the host's version 1 has not.
    pub fn open_inside(&self, wanted: &[Inside], init: i32) -> Result<Cgroup> {
        if self.is_empty() && !wanted.is_empty() {
            return Err(Error::Cgroup("the container has no cgroup, and so none below it".into()));
        }
        for controller in wanted.iter().flat_map(|each| &each.controllers) {
            if !self.places.iter().any(|place| place.has(controller)) {
                let problem = format!("the container has no cgroup with the controller {controller:?}");
                return Err(Error::Cgroup(problem));
            }
        }
        let rooms = self.places.iter().map(|place| {
            let place = match wanted.iter().find(|each| each.concerns(place)) {
                Some(inside) => place.below(&inside.path),
                None => leaf(place, init)?.unwrap_or_else(|| place.clone()),
            };
            open(&place, false)
        });
        Ok(Cgroup { rooms: rooms.collect::<Result<_>>()?, unit: self.unit.clone() })
    }
}

impl Place {
    fn below(&self, path: &Path) -> Place {
        Place { path: Inner::below(self.path.as_path(), path), ..self.clone() }
    }
}

/// The cgroup of the container's first process, if it has to be that.
fn leaf(place: &Place, init: i32) -> Result<Option<Place>> {
    if place.version == Version::V1 {
        return Ok(None);
    }
    let handed_down = files::read_short(CWD, place.directory().join(SUBTREE).as_os_str());
    if handed_down.is_ok_and(|controllers| controllers.trim().is_empty()) {
        return Ok(None);
    }
    let Some(v2) = Hierarchies::probe()?.v2 else { return Ok(None) };
    let text = procfs::read(init.cast_unsigned(), "cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    Ok(below_root(Path::new(own), &v2.root)
        .strip_prefix(place.path.as_path())
        .ok()
        .map(|path| place.below(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_containers_cgroup() {
        let inside = |text| Inside::parse(text).map(|inside| (inside.controllers.join("+"), inside.path));
        assert_eq!(inside("a/b").unwrap(), (String::new(), "a/b".into()));
        assert_eq!(inside("/").unwrap(), (String::new(), "".into()));
        assert_eq!(inside("cpu,memory:/x").unwrap(), ("cpu+memory".into(), "x".into()));
        for out in ["..", "../ctr-b", "a/../../ctr2", "cpu:../x", "/../x"] {
            assert!(inside(out).is_err(), "{out}");
        }
    }
}
