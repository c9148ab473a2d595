//! Carrying out an update, or nothing of it.

use super::create;
use super::files;
use super::former::former;
use super::handle::{Cgroup, Room};
use super::hierarchies::Version;
use super::knobs::{Hierarchy, Knob, Tolerance};
use super::paths::Paths;
use super::systemd;
use super::update::Update;
use crate::error::{Error, Result};

/// How often former values are written back: some are refused as long as others are not back.
const ATTEMPTS: usize = 2;

impl Paths {
    /// Sets new limits, all of them or none.
    ///
    /// # Errors
    /// The kernel refuses one, or the container uses more memory than it may from now on; then the former limits hold.
    pub fn update(&self, update: &Update) -> Result<()> {
        self.enable(&update.knobs.iter().map(|(_, knob)| knob).collect::<Vec<_>>());
        let cgroup = self.open()?;
        if let Some(limit) = update.at_most {
            cgroup.refuse_to_exceed(limit)?;
        }
        let knobs = || update.knobs.iter().map(|(_, knob)| knob);
        let formers: Vec<Former<'_>> = knobs().flat_map(|knob| cgroup.formers(knob)).collect();
        let apply = || knobs().try_for_each(|knob| cgroup.apply(knob));
        apply().and_then(|()| self.tell_systemd(knobs(), apply)).inspect_err(|_| restore(&formers))
    }

    /// Systemd writes its own values, which are less exact than ours.
    fn tell_systemd<'a>(
        &self,
        knobs: impl Iterator<Item = &'a Knob>,
        apply: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        match systemd::of_limits(knobs, unit.version).as_slice() {
            [] => Ok(()),
            properties => unit.set(properties).and_then(|()| apply()),
        }
    }

    /// Controllers that no limit needed before may have to be enabled above the container's cgroup. What fails here
    /// fails for good when the limit is set.
    fn enable(&self, knobs: &[&Knob]) {
        let Some(place) = self.place(Version::V2, None) else { return };
        let mut place = place.clone();
        let needed =
            knobs.iter().filter(|knob| knob.hierarchy == Hierarchy::V2).map(|knob| knob.controller());
        place.controllers = needed.filter(|name| *name != "cgroup").map(str::to_owned).collect();
        create::enable(&place);
    }
}

/// What a file said before.
struct Former<'a> {
    room: &'a Room,
    file: &'a str,
    value: String,
}

fn restore(formers: &[Former<'_>]) {
    for _ in 0..ATTEMPTS {
        for Former { room, file, value } in formers.iter().rev() {
            // The error that led here is the one to tell.
            _ = files::write_lines(&room.directory, file, value);
        }
    }
}

impl Cgroup {
    /// What the files that a limit may be written to say now, as far as they are there.
    fn formers<'a>(&'a self, knob: &'a Knob) -> Vec<Former<'a>> {
        let Some(room) = self.room_of(knob) else { return Vec::new() };
        let mut files = vec![(knob.file.as_str(), knob.value.as_str())];
        if let Tolerance::Instead { file, value } | Tolerance::After { file, value } = &knob.tolerance {
            files.push((file, value));
        }
        let known = files.into_iter().filter_map(|(file, value)| {
            let text = files::read(&room.directory, file.as_ref()).ok()?;
            Some(Former { room, file, value: former(file, &text, value) })
        });
        known.collect()
    }

    /// Version 1 checks that itself.
    fn refuse_to_exceed(&self, limit: u64) -> Result<()> {
        let Some(room) = self.room(Version::V2, None) else { return Ok(()) };
        let used = files::read(&room.directory, "memory.current".as_ref()).ok();
        let used = used.and_then(|text| text.trim().parse::<u64>().ok());
        match used {
            Some(used) if used > limit => Err(Error::Cgroup(format!(
                "unable to set memory limit to {limit} (current usage: {used}): free memory first, or leave \
                 checkBeforeUpdate out"
            ))),
            _ => Ok(()),
        }
    }
}
