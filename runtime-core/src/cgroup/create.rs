//! Making a container's cgroup.

use std::iter::once;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, CWD, Mode, access, mkdir, rmdir};
use rustix::io::Errno;

use super::handle::{Cgroup, Room};
use super::hierarchies::Version;
use super::paths::{Paths, Place};
use super::systemd::{Refusal, Start, Unit};
use super::{files, life, remove, threads, tree};
use crate::error::{Context, Error, Result};

/// How often the ancestors are made again when others remove them at the same time.
const ATTEMPTS: usize = 8;

impl Paths {
    /// Notes which cgroups above the container's are missing, so that they can be removed with it even if its
    /// creation is interrupted. To be called before this is stored, and that before [`Paths::create`].
    ///
    /// # Errors
    /// The container's own cgroup is there and has processes, or is frozen: it must not be stored as the container's.
    pub fn note_missing_ancestors(&mut self) -> Result<()> {
        for place in &mut self.places {
            if exists(&place.directory())? {
                refuse_occupied(place)?;
                continue;
            }
            // Slices come and go with systemd.
            place.missing = if self.unit.is_some() && by_systemd(place) { 0 } else { missing_above(place)? };
        }
        Ok(())
    }

    /// Makes the cgroup in every hierarchy, with the controllers that its limits need.
    ///
    /// # Errors
    /// It is there and has processes, or is frozen; or the kernel refuses. Then what was made here is gone again, and
    /// [`Paths::remove`] must not be called: the cgroup may be somebody else's.
    pub fn create(&self) -> Result<Cgroup> {
        let mut undo = Undo(Vec::new());
        let rooms = self.places.iter().map(|place| make(place, &mut undo)).collect::<Result<_>>()?;
        undo.0.clear();
        Ok(Cgroup { rooms, unit: self.unit.clone() })
    }

    /// Has systemd make the cgroup around a process, and makes it where systemd doesn't: in hierarchies of version 1.
    ///
    /// # Errors
    /// There is such a unit, or systemd refuses, or makes it elsewhere; or the kernel refuses. Then what was made here
    /// is gone again, or being removed by systemd.
    pub fn start(&self, start: &Start, pid: u32) -> Result<Cgroup> {
        let Some(unit) = &self.unit else { return self.create() };
        match unit.start(&start.properties, pid) {
            Ok(()) => self.adopt().inspect_err(|_| self.abandon(unit)),
            Err(Refusal { made, error }) => {
                if made {
                    self.abandon(unit);
                }
                Err(error)
            }
        }
    }

    /// The error that led here is the one to tell. An init that was asked to end by systemd would not.
    fn abandon(&self, unit: &Unit) {
        const SOON: Duration = Duration::from_secs(5);
        _ = self.kill_all(Instant::now() + SOON).and_then(|()| unit.stop());
    }

    fn adopt(&self) -> Result<Cgroup> {
        let mut undo = Undo(Vec::new());
        let rooms = self.places.iter().map(|place| match by_systemd(place) {
            true => {
                enable(place);
                open(place, false)
            }
            false => make_room(place, &mut undo, false),
        });
        let rooms = rooms.collect::<Result<_>>()?;
        undo.0.clear();
        Ok(Cgroup { rooms, unit: self.unit.clone() })
    }

    /// Opens the cgroup of a container that exists.
    ///
    /// # Errors
    /// It is gone.
    pub fn open(&self) -> Result<Cgroup> {
        let rooms = self.places.iter().map(|place| open(place, false)).collect::<Result<_>>()?;
        Ok(Cgroup { rooms, unit: self.unit.clone() })
    }
}

/// Removes what was made, last first, unless it is emptied before.
struct Undo<'a>(Vec<(&'a Place, bool)>);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for (place, fresh) in self.0.iter().rev() {
            if *fresh {
                _ = rmdir(place.directory());
            }
            remove::ancestors(place);
        }
    }
}

/// Whether systemd makes the cgroup in this hierarchy, whatever limits there are.
fn by_systemd(place: &Place) -> bool {
    place.version == Version::V2 || place.has("name=systemd")
}

fn make<'a>(place: &'a Place, undo: &mut Undo<'a>) -> Result<Room> {
    make_room(place, undo, true)
}

fn make_room<'a>(place: &'a Place, undo: &mut Undo<'a>, empty: bool) -> Result<Room> {
    undo.0.push((place, false));
    let fresh = make_directory(place)?;
    match undo.0.last_mut() {
        Some((_, made)) if fresh => {
            *made = true;
            refuse_below_frozen(place)?;
        }
        _ if !empty => {}
        _ => refuse_occupied(place)?,
    }
    // In version 1, who enters a frozen cgroup can't even be killed. In version 2 it shows by silence.
    if place.version == Version::V1 && place.has("freezer") {
        refuse_frozen(place)?;
    }
    match place.version {
        Version::V2 => {
            if has_company(place) {
                threads::follow(place)?;
            }
            enable(place);
        }
        Version::V1 if place.has("cpuset") => fill_cpuset(place)?,
        Version::V1 => {}
    }
    open(place, fresh)
}

pub(super) fn open(place: &Place, fresh: bool) -> Result<Room> {
    let path = place.directory();
    let directory =
        files::open_place(&path).doing(|| format!("cannot open the cgroup {}", path.display()))?;
    Ok(Room { place: place.clone(), directory, fresh })
}

/// How many are missing between the cgroup and the nearest one that is there, at most the mounted one.
fn missing_above(place: &Place) -> Result<usize> {
    let depth = place.ancestors().count() - 1;
    for (number, above) in place.ancestors().take(depth).enumerate() {
        if exists(&above)? {
            return Ok(number);
        }
    }
    Ok(depth)
}

fn exists(path: &Path) -> Result<bool> {
    match access(path, Access::EXISTS) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno).doing(|| format!("cannot look for the cgroup {}", path.display())),
    }
}

/// Whether it was made, and not there before.
fn make_directory(place: &Place) -> Result<bool> {
    let path = place.directory();
    for _ in 0..ATTEMPTS {
        match make_one(&path) {
            Err(Errno::NOENT) => make_ancestors(place)?,
            result => return result.map_err(|errno| cannot_make(&path, errno)),
        }
    }
    Err(cannot_make(&path, Errno::NOENT))
}

fn make_ancestors(place: &Place) -> Result<()> {
    let mut above: Vec<PathBuf> = place.ancestors().collect();
    above.pop();
    for path in above.iter().rev() {
        match make_one(path) {
            Ok(_) => {}
            // Somebody has just removed the one above: the caller tries again.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(cannot_make(path, errno)),
        }
    }
    Ok(())
}

fn make_one(path: &Path) -> rustix::io::Result<bool> {
    match mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn cannot_make(path: &Path, errno: Errno) -> Error {
    let why = match errno {
        Errno::NOSPC => " (the kernel's cgroup ids or CPUs are used up; this isn't about a disk)",
        Errno::AGAIN => " (cgroup.max.descendants or cgroup.max.depth of one above it is reached)",
        _ => "",
    };
    Error::System { doing: format!("cannot make the cgroup {}{why}", path.display()), errno }
}

fn refuse_occupied(place: &Place) -> Result<()> {
    let path = place.directory();
    let pids = tree::pids(place)?;
    if !pids.is_empty() {
        return Err(Error::Cgroup(format!(
            "container's cgroup is not empty: {} process(es) found in {}",
            pids.len(),
            path.display()
        )));
    }
    refuse_frozen(place)
}

pub(super) fn refuse_frozen(place: &Place) -> Result<()> {
    if !life::place_is_frozen(place)? {
        return Ok(());
    }
    Err(Error::Cgroup(format!(
        "container's cgroup {} is frozen, or below one that is: thaw that, or name another one in cgroupsPath",
        place.directory().display()
    )))
}

/// Whether any cgroup above was there before, besides the root. What was missing was made just now, and is as usual.
fn has_company(place: &Place) -> bool {
    place.ancestors().count() - 1 > place.missing
}

/// Whoever is born below a frozen cgroup never does anything. The root can't be frozen.
fn refuse_below_frozen(place: &Place) -> Result<()> {
    if has_company(place) && life::place_is_frozen(place)? {
        return Err(Error::Cgroup(format!(
            "a cgroup above the container's cgroup {} is frozen: thaw it, or name another one in cgroupsPath",
            place.directory().display()
        )));
    }
    Ok(())
}

/// Enables the controllers in every cgroup above, from the top. What fails here fails for good where a limit needs it.
pub(super) fn enable(place: &Place) {
    let above: Vec<PathBuf> = place.ancestors().collect();
    if above.first().is_none_or(|parent| lacking(place, parent).is_empty()) {
        return;
    }
    for directory in above.iter().rev() {
        turn_on(directory, &lacking(place, directory));
    }
}

/// The container's controllers that this cgroup doesn't hand down.
fn lacking<'a>(place: &'a Place, directory: &Path) -> Vec<&'a str> {
    if place.controllers.is_empty() {
        return Vec::new();
    }
    let enabled = files::read(CWD, directory.join(SUBTREE).as_os_str()).unwrap_or_default();
    let is_enabled = |name: &&str| enabled.split_whitespace().any(|each| each == *name);
    place.controllers.iter().map(String::as_str).filter(|name| !is_enabled(name)).collect()
}

pub(super) const SUBTREE: &str = "cgroup.subtree_control";

/// One that is refused must not keep the others out.
fn turn_on(directory: &Path, controllers: &[&str]) {
    let Ok(directory) = files::open_place(directory) else { return };
    let request = |names: &[&str]| names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    if files::write_lines(&directory, SUBTREE, &request(controllers)).is_err() {
        for name in controllers {
            _ = files::write_lines(&directory, SUBTREE, &request(&[name]));
        }
    }
}

/// No process may enter a version 1 cpuset without processors or memory nodes, and a fresh one has none.
fn fill_cpuset(place: &Place) -> Result<()> {
    ["cpuset.cpus", "cpuset.mems"].into_iter().try_for_each(|file| fill(place, file))
}

fn fill(place: &Place, file: &str) -> Result<()> {
    let mut empty = Vec::new();
    let mut value = String::new();
    for directory in once(place.directory()).chain(place.ancestors()) {
        let path = directory.join(file);
        value = files::read(CWD, path.as_os_str()).doing(|| format!("cannot read {}", path.display()))?;
        if !value.trim().is_empty() {
            break;
        }
        empty.push(directory);
    }
    for directory in empty.iter().rev() {
        let written = files::open_place(directory).and_then(|at| files::write_lines(at, file, &value));
        written.doing(|| format!("cannot fill {}", directory.join(file).display()))?;
    }
    Ok(())
}
