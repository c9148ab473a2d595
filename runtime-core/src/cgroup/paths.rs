//! Where a container's cgroup lies in each hierarchy. Pure; `create`, `life` and `remove` act on it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hierarchies::{Hierarchies, V1, V2, Version};
use super::systemd::Unit;
use crate::error::ConfigError;
use crate::plan::Pointer;

const CGROUPS_PATH: Pointer = Pointer::of("/linux/cgroupsPath");

/// Where a container's cgroup lies in each hierarchy. It is stored with the container, and is all that later commands
/// need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Paths {
    pub(super) places: Vec<Place>,
    /// Whose cgroup it is, if systemd makes it.
    pub(super) unit: Option<Unit>,
}

/// A list where nobody but us makes the cgroup.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Ours(Vec<Place>),
    Systemd { unit: Unit, places: Vec<Place> },
}

impl From<Stored> for Paths {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Ours(places) => Paths { places, unit: None },
            Stored::Systemd { unit, places } => Paths { places, unit: Some(unit) },
        }
    }
}

impl From<Paths> for Stored {
    fn from(Paths { places, unit }: Paths) -> Self {
        match unit {
            None => Stored::Ours(places),
            Some(unit) => Stored::Systemd { unit, places },
        }
    }
}

/// The container's cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) version: Version,
    /// Version 1: the hierarchy's controllers. Version 2: those that must be enabled for the container.
    pub(super) controllers: Vec<String>,
    /// The hierarchy's mount point.
    pub(super) mount: PathBuf,
    /// The cgroup, below the mount point.
    pub(super) path: Inner,
    /// How many of the cgroups above it, from the nearest, were missing before the container was made. They go when
    /// the container goes, if they are empty then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) missing: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A path of at least one name that can't lead out of where it is put: relative, and without `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub(super) struct Inner(PathBuf);

impl Inner {
    /// Cleans a path as if it were absolute, so that `..` stops at the top. `None` if nothing is left.
    fn clean(path: &Path) -> Option<Self> {
        let mut cleaned = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => cleaned.push(name),
                Component::ParentDir => _ = cleaned.pop(),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        (!cleaned.as_os_str().is_empty()).then_some(Inner(cleaned))
    }

    /// A path of names below a parent, which is one too.
    pub(super) fn below(parent: &Path, inner: &Path) -> Self {
        Inner(parent.join(inner))
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<PathBuf> for Inner {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        match Inner::clean(&path) {
            Some(inner) if inner.0 == path => Ok(inner),
            _ => Err(format!("{path:?} is not the path of a cgroup below a mount point")),
        }
    }
}

impl From<Inner> for PathBuf {
    fn from(inner: Inner) -> PathBuf {
        inner.0
    }
}

impl Place {
    /// The cgroup's directory.
    pub(super) fn directory(&self) -> PathBuf {
        self.mount.join(&self.path.0)
    }

    /// The directories above it up to the mount point, the nearest first.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = PathBuf> {
        self.path.0.ancestors().skip(1).map(|above| self.mount.join(above))
    }

    /// What people call the hierarchy.
    pub(super) fn name(&self) -> String {
        match self.version {
            Version::V1 => self.controllers.join(","),
            Version::V2 => "v2".into(),
        }
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|each| each == controller)
    }
}

impl Paths {
    /// Decides where the cgroup lies. `enabled` are the controllers of version 2 that the container needs.
    ///
    /// An absolute `wanted` lies below each mount point; a relative one below this process's own cgroup (version 1) or
    /// below the one above that (version 2, where a cgroup with processes can't have cgroups with controllers below),
    /// unless another one was chosen ([`Hierarchies::parent`]). Without a path it is the container's id.
    pub(super) fn decide(
        id: &str,
        wanted: Option<&Path>,
        enabled: BTreeSet<String>,
        hierarchies: &Hierarchies,
    ) -> Result<Self, ConfigError> {
        let wanted = wanted.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(id));
        let inner = Inner::clean(wanted).ok_or_else(|| {
            ConfigError::new(
                CGROUPS_PATH,
                format!("{wanted:?} names no cgroup below the mount point: give it a name"),
            )
        })?;
        let chosen = hierarchies
            .parent
            .as_deref()
            .map(|parent| Inner::clean(parent).map_or_else(PathBuf::new, PathBuf::from));
        let place = |version, controllers, mount: &Path, usual: &Path| Place {
            version,
            controllers,
            mount: mount.to_owned(),
            path: match wanted.is_absolute() {
                true => inner.clone(),
                false => Inner::below(chosen.as_deref().unwrap_or(usual), &inner.0),
            },
            missing: 0,
        };
        let v2 = hierarchies.v2.iter().map(|v2| {
            let own = below_root(&v2.own, &v2.root);
            let parent = own.parent().unwrap_or(Path::new(""));
            place(Version::V2, enabled.iter().cloned().collect(), &v2.mount, parent)
        });
        let v1 = hierarchies
            .v1
            .iter()
            .map(|v1| place(Version::V1, v1.controllers.clone(), &v1.mount, &below_root(&v1.own, &v1.root)));
        Ok(Paths { places: v2.chain(v1).collect(), unit: None })
    }

    /// The places of a unit whose cgroup is `path`, from the top of every hierarchy.
    ///
    /// # Errors
    /// It can't be seen where the hierarchies are mounted.
    pub(super) fn of_unit(
        unit: Unit,
        path: &Path,
        enabled: BTreeSet<String>,
        hierarchies: &Hierarchies,
    ) -> Result<Self, ConfigError> {
        let place = |version, controllers, mount: &Path, root: &Path| {
            let inner = path.strip_prefix(root).ok().and_then(Inner::clean);
            let path = inner.ok_or_else(|| {
                let problem = format!(
                    "systemd makes the cgroup {}, and {} shows only those below {}",
                    path.display(),
                    mount.display(),
                    root.display()
                );
                ConfigError::new(CGROUPS_PATH, problem)
            })?;
            Ok(Place { version, controllers, mount: mount.to_owned(), path, missing: 0 })
        };
        let enabled: Vec<String> = enabled.into_iter().collect();
        let v2 = hierarchies.v2.iter().map(|v2| place(Version::V2, enabled.clone(), &v2.mount, &v2.root));
        let v1 =
            hierarchies.v1.iter().map(|v1| place(Version::V1, v1.controllers.clone(), &v1.mount, &v1.root));
        Ok(Paths { places: v2.chain(v1).collect::<Result<_, _>>()?, unit: Some(unit) })
    }

    /// The unit that systemd makes the cgroup for.
    pub(crate) fn unit_name(&self) -> Option<&str> {
        self.unit.as_ref().map(|unit| unit.name.as_str())
    }

    /// The cgroup's directories with the hierarchy of each: `v2`, or the controllers of version 1.
    pub fn directories(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.places.iter().map(|place| (place.name(), place.directory()))
    }

    /// The cgroup's directory in the hierarchy of version 2.
    pub fn v2(&self) -> Option<PathBuf> {
        self.place(Version::V2, None).map(Place::directory)
    }

    /// The cgroup's directory in the version 1 hierarchy with this controller.
    pub fn v1(&self, controller: &str) -> Option<PathBuf> {
        self.place(Version::V1, Some(controller)).map(Place::directory)
    }

    /// The cgroup's directory in the hierarchy that is mounted there.
    pub fn at(&self, mount: &Path) -> Option<PathBuf> {
        self.places.iter().find(|place| place.mount == mount).map(Place::directory)
    }

    /// Whether it lies in the hierarchy that is mounted there.
    pub(crate) fn is_at(&self, mount: &Path) -> bool {
        self.places.iter().any(|place| place.mount == mount)
    }

    /// The hierarchies in which the cgroup lies, as far as they matter to a process that goes there.
    pub(crate) fn hierarchies(&self) -> Hierarchies {
        let top = PathBuf::from("/");
        let of = |version| self.places.iter().filter(move |place| place.version == version);
        let v1 = of(Version::V1).map(|place| V1 {
            controllers: place.controllers.clone(),
            mount: place.mount.clone(),
            root: top.clone(),
            own: top.clone(),
        });
        let v2 = of(Version::V2).next().map(|place| V2 {
            mount: place.mount.clone(),
            root: top.clone(),
            own: top.clone(),
            controllers: place.controllers.clone(),
        });
        // Who owns them all is of no interest any more.
        Hierarchies { v1: v1.collect(), v2, owner: Some((0, 0)), parent: None }
    }

    /// Whether there is no hierarchy at all.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn place(&self, version: Version, controller: Option<&str>) -> Option<&Place> {
        let fits = |place: &&Place| controller.is_none_or(|controller| place.has(controller));
        self.places.iter().filter(|place| place.version == version).find(fits)
    }
}

/// A cgroup as a path below the mounted one; the mounted one itself if it isn't below (in a namespace of its own).
pub(super) fn below_root(own: &Path, root: &Path) -> PathBuf {
    own.strip_prefix(root).ok().and_then(Inner::clean).map(PathBuf::from).unwrap_or_default()
}

impl fmt::Display for Paths {
    /// `/x in v2, cpu; /own/x in memory`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<(&Inner, Vec<String>)> = Vec::new();
        for place in &self.places {
            match groups.iter_mut().find(|(path, _)| *path == &place.path) {
                Some((_, names)) => names.push(place.name()),
                None => groups.push((&place.path, vec![place.name()])),
            }
        }
        for (number, (path, names)) in groups.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}/{} in {}", path.0.display(), names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Bus;

    fn host() -> Hierarchies {
        let v1 = |names: &str, own: &str| V1 {
            controllers: names.split(',').map(str::to_owned).collect(),
            mount: Path::new("/c").join(names),
            root: "/".into(),
            own: own.into(),
        };
        let v2 = V2 { mount: "/c/2".into(), root: "/".into(), own: "/s/own".into(), controllers: vec![] };
        Hierarchies {
            v1: vec![v1("cpu,cpuacct", "/"), v1("memory", "/m")],
            v2: Some(v2),
            owner: None,
            parent: None,
        }
    }

    fn decide(wanted: Option<&str>) -> Result<String, ConfigError> {
        Paths::decide("ID", wanted.map(Path::new), BTreeSet::new(), &host()).map(|paths| paths.to_string())
    }

    #[test]
    fn relative_paths_begin_where_somebody_wants_them_to() {
        let below = |parent: &str, wanted: Option<&str>| {
            let host = Hierarchies { parent: Some(parent.into()), ..host() };
            Paths::decide("ID", wanted.map(Path::new), BTreeSet::new(), &host).unwrap().to_string()
        };
        assert_eq!(below("/e/../f", None), "/f/ID in v2, cpu,cpuacct, memory");
        assert_eq!(below("f", Some("x")), "/f/x in v2, cpu,cpuacct, memory");
        assert_eq!(below("/", Some("x")), "/x in v2, cpu,cpuacct, memory");
        assert_eq!(below("/f", Some("/x")), "/x in v2, cpu,cpuacct, memory");
    }

    #[test]
    fn cgroups_paths() {
        for (wanted, paths) in [
            (Some("/a/b"), "/a/b in v2, cpu,cpuacct, memory"),
            (Some("/a/../../../b/."), "/b in v2, cpu,cpuacct, memory"),
            (Some("x/y"), "/s/x/y in v2; /x/y in cpu,cpuacct; /m/x/y in memory"),
            (Some("../../../x"), "/s/x in v2; /x in cpu,cpuacct; /m/x in memory"),
            (Some(""), "/s/ID in v2; /ID in cpu,cpuacct; /m/ID in memory"),
            (None, "/s/ID in v2; /ID in cpu,cpuacct; /m/ID in memory"),
        ] {
            assert_eq!(decide(wanted).unwrap(), paths, "{wanted:?}");
        }
        for nothing in ["/", ".", "/..", "a/.."] {
            assert_eq!(decide(Some(nothing)).unwrap_err().pointer, CGROUPS_PATH, "{nothing}");
        }
    }

    #[test]
    fn a_unit_that_cannot_be_seen_is_nowhere() {
        let unit = || Unit { name: "x.scope".into(), bus: Bus::System, version: 257 };
        let of = |path: &str, root: &str| {
            let mut host = host();
            host.v2 = host.v2.map(|v2| V2 { root: root.into(), ..v2 });
            Paths::of_unit(unit(), Path::new(path), BTreeSet::new(), &host)
        };
        let all = "/s/x.scope in v2, cpu,cpuacct, memory";
        assert_eq!(of("/s/x.scope", "/").unwrap().to_string(), all);
        assert!(of("/s/x.scope", "/s").unwrap().to_string().starts_with("/x.scope in v2; "));
        for (path, root) in [("/s/x.scope", "/docker/y"), ("/s/x.scope", "/s/x.scope"), ("/", "/")] {
            assert_eq!(of(path, root).unwrap_err().pointer, CGROUPS_PATH, "{path} {root}");
        }
        let text = serde_json::to_string(&of("/s/x.scope", "/").unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Paths>(&text).unwrap().unit_name(), Some("x.scope"));
    }

    #[test]
    fn own_path_below_the_mounted_cgroup() {
        for (own, root, below) in [
            ("/docker/a/b", "/docker/a", "b"),
            ("/docker/ab", "/docker/a", ""),
            ("/docker/a", "/docker/a", ""),
            ("/../x", "/", "x"),
            ("/x", "/..", ""),
        ] {
            assert_eq!(below_root(Path::new(own), Path::new(root)), Path::new(below), "{own} {root}");
        }
    }

    #[test]
    fn the_record_round_trips_and_damaged_ones_are_refused() {
        let mut paths = Paths::decide("ID", None, BTreeSet::from(["memory".into()]), &host()).unwrap();
        paths.places[0].missing = 2;
        let text = serde_json::to_string(&paths).unwrap();
        assert_eq!(serde_json::from_str::<Paths>(&text).unwrap(), paths);
        for bad in ["/etc", "../x", "", "a/../b", "a/./../.."] {
            let text = text.replacen("\"s/ID\"", &format!("{bad:?}"), 1);
            assert!(serde_json::from_str::<Paths>(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn directories_can_be_asked_for() {
        let paths = Paths::decide("ID", Some(Path::new("/a")), BTreeSet::new(), &host()).unwrap();
        assert_eq!(paths.v2(), Some("/c/2/a".into()));
        assert_eq!(paths.v1("cpuacct"), Some("/c/cpu,cpuacct/a".into()));
        assert_eq!(paths.v1("devices"), None);
        assert_eq!(paths.at(Path::new("/c/memory")), Some("/c/memory/a".into()));
        assert_eq!(paths.directories().count(), 3);
        assert!(!paths.is_empty());
    }
}
