//! Hierarchies in which a caller without privileges may make no cgroup, or doesn't want to.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::hierarchies::{Hierarchies, Version};
use super::paths::{Paths, Place, below_root};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::{ContainerId, Spec};

/// Hierarchies in which a container gets no cgroup.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// They.
    pub hierarchies: Hierarchies,
    /// Why, for people: what a limit that needs one of them fails with.
    pub why: String,
}

impl Host {
    /// Looks where the cgroups of this container may be made. Whoever owns the hierarchies, as root does, is not asked.
    ///
    /// # Errors
    /// `cgroupsPath` names no cgroup.
    pub(super) fn look_for_access(&mut self, spec: &Spec, id: &ContainerId) -> Result<(), ConfigError> {
        if self.is_root() {
            return Ok(());
        }
        let wanted = spec.oci().linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        let paths = Paths::decide(id.as_str(), wanted, [].into(), &self.cgroups)?;
        let refusals: Vec<Refusal> =
            paths.places.iter().filter_map(|place| Refusal::of(place, &self.cgroups)).collect();
        let Some(first) = refusals.first() else { return Ok(()) };
        let why = first.sentence();
        self.close(&|mount| refusals.iter().any(|refusal| refusal.mount == mount), why);
        Ok(())
    }

    /// Makes no cgroup for the container, anywhere.
    pub(super) fn close_all_cgroups(&mut self) {
        self.close(&|_| true, "no cgroup is to be made; let one be made, or leave the limit out".into());
    }

    /// Closes the hierarchies that are mounted there.
    pub(crate) fn close(&mut self, is_closed: &dyn Fn(&Path) -> bool, why: String) {
        let closed = self.cgroups.split_off(is_closed);
        if !closed.v1.is_empty() || closed.v2.is_some() {
            self.closed = Some(Closed { hierarchies: closed, why });
        }
    }

    /// All hierarchies that are mounted.
    pub(crate) fn mounted_cgroups(&self) -> Cow<'_, Hierarchies> {
        let Some(closed) = &self.closed else { return Cow::Borrowed(&self.cgroups) };
        let mut all = self.cgroups.clone();
        all.v1.extend(closed.hierarchies.v1.iter().cloned());
        all.v2 = all.v2.or_else(|| closed.hierarchies.v2.clone());
        Cow::Owned(all)
    }
}

/// Why a cgroup can't be made, or not be entered.
struct Refusal {
    mount: PathBuf,
    /// The file that may not be written to.
    file: PathBuf,
    errno: Errno,
}

impl Refusal {
    /// A process is moved, or born elsewhere, by whoever may write to both cgroups and to the one that is above both.
    fn of(place: &Place, hierarchies: &Hierarchies) -> Option<Self> {
        let directory = place.directory();
        let refused = |file: PathBuf, wanted| {
            let refusal = |errno| Refusal { mount: place.mount.clone(), file: file.clone(), errno };
            access(&file, wanted).err().map(refusal)
        };
        let nearest = std::iter::once(directory.clone()).chain(place.ancestors()).find(|each| each.exists());
        let nearest = nearest.unwrap_or_else(|| place.mount.clone());
        let made = if nearest == directory { directory.join("cgroup.procs") } else { nearest };
        let wanted = if made.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
        refused(made, wanted).or_else(|| {
            let own = hierarchies.v2.as_ref().filter(|_| place.version == Version::V2)?;
            let common = common(&below_root(&own.own, &own.root), place.path.as_path());
            refused(place.mount.join(common).join("cgroup.procs"), Access::WRITE_OK)
        })
    }

    fn sentence(&self) -> String {
        format!(
            "this user may make no cgroup for the container ({}: {}); let an administrator delegate one and name a path \
             below it in cgroupsPath, or leave the limit out",
            self.file.display(),
            crate::error::words(self.errno)
        )
    }
}

fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.iter().zip(other.iter()).take_while(|(one, other)| one == other);
    both.map(|(name, _)| OsString::from(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_paths_have_in_common() {
        let common = |one: &str, other: &str| common(Path::new(one), Path::new(other));
        assert_eq!(common("a/b/c", "a/b/d/e"), Path::new("a/b"));
        assert_eq!(common("a/bc", "a/b"), Path::new("a"));
        assert_eq!(common("", "a"), Path::new(""));
        assert_eq!(common("a", "a/b"), Path::new("a"));
    }
}
