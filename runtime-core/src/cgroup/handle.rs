//! A container's cgroup, open: limits, devices, and who is in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;

use super::create::{self, SUBTREE};
use super::devices::DeviceRules;
use super::hierarchies::Version;
use super::knobs::{Hierarchy, Knob, Tolerance};
use super::paths::Place;
use super::systemd::Unit;
use super::{ebpf, exceptions, files};
use crate::error::{Context, Error, Result};
use crate::host::in_user_namespace;
use crate::sys::bpf;

/// A container's cgroup, open in every hierarchy.
#[derive(Debug)]
pub struct Cgroup {
    pub(super) rooms: Vec<Room>,
    pub(super) unit: Option<Unit>,
}

/// The cgroup in one hierarchy.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) place: Place,
    pub(super) directory: OwnedFd,
    /// Made by us a moment ago: nobody has attached anything to it.
    pub(super) fresh: bool,
}

impl Cgroup {
    /// The version 2 cgroup, as clone3 takes it for `CLONE_INTO_CGROUP`.
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.room(Version::V2, None).map(|room| room.directory.as_fd())
    }

    /// Moves a process into the cgroup of every hierarchy; into that of version 2 only if it wasn't born there.
    ///
    /// # Errors
    /// The process is gone, or the kernel won't have it there.
    pub fn enter(&self, pid: u32, born_in_v2: bool) -> Result<()> {
        let already = |room: &&Room| born_in_v2 && room.place.version == Version::V2;
        for room in self.rooms.iter().filter(|room| !already(room)) {
            match (files::write_lines(&room.directory, "cgroup.procs", &pid.to_string()), &self.unit) {
                // A user owns the unit's cgroup, and may bring nobody there who isn't below his systemd.
                (Err(Errno::ACCESS | Errno::PERM), Some(unit)) => unit.attach(pid)?,
                (entered, _) => entered.doing(|| {
                    format!("cannot move process {pid} into {}", room.place.directory().display())
                })?,
            }
        }
        Ok(())
    }

    /// Nothing moves in a cgroup that is frozen, or below one that is.
    pub(crate) fn refuse_frozen(&self) -> Result<()> {
        self.rooms.iter().try_for_each(|room| create::refuse_frozen(&room.place))
    }

    /// Sets a limit.
    ///
    /// # Errors
    /// The kernel refuses the value, or there is no such file: its controller could not be enabled.
    pub fn apply(&self, knob: &Knob) -> Result<()> {
        let room = self.room_of(knob).ok_or_else(|| {
            Error::Cgroup(format!("cannot set {knob}: the container has no cgroup in that hierarchy"))
        })?;
        match write(room, knob) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(Error::Cgroup(missing(room, knob))),
            Err(errno) => {
                Err(errno).doing(|| format!("cannot set {knob} in {}", room.place.directory().display()))
            }
        }
    }

    /// Restricts which devices its processes may make and open, in place of an earlier restriction.
    ///
    /// # Errors
    /// The kernel refuses; nothing may run in it then.
    pub fn restrict(&self, rules: &DeviceRules) -> Result<()> {
        if let Some(room) = self.room(Version::V1, Some("devices")) {
            return restrict_v1(room, rules);
        }
        let room = self.room(Version::V2, None);
        room.map_or_else(
            || Err(Error::Cgroup("cannot restrict devices: the container has no cgroup for that".into())),
            |room| restrict_v2(room, rules),
        )
    }

    /// The cgroup that a limit's file is in.
    pub(super) fn room_of(&self, knob: &Knob) -> Option<&Room> {
        match knob.hierarchy {
            Hierarchy::V1(controller) => self.room(Version::V1, Some(controller)),
            Hierarchy::V2 => self.room(Version::V2, None),
        }
    }

    pub(super) fn room(&self, version: Version, controller: Option<&str>) -> Option<&Room> {
        let fits = |place: &Place| controller.is_none_or(|controller| place.has(controller));
        self.rooms.iter().find(|room| room.place.version == version && fits(&room.place))
    }
}

fn write(room: &Room, knob: &Knob) -> rustix::io::Result<()> {
    let write = |file: &str, value: &str| files::write_lines(&room.directory, file, value);
    match (write(&knob.file, &knob.value), &knob.tolerance) {
        (Err(Errno::NOENT), Tolerance::Missing) => Ok(()),
        (Err(Errno::NOENT), Tolerance::Instead { file, value }) => write(file, value),
        (Err(Errno::INVAL), Tolerance::After { file, value }) => {
            // If this fails the limit itself says why: its own turn comes later.
            _ = write(file, value);
            write(&knob.file, &knob.value)
        }
        (result, _) => result,
    }
}

/// Why there is no such file.
fn missing(room: &Room, knob: &Knob) -> String {
    let directory = room.place.directory();
    let sentence = format!("cannot set {knob} in {}: there is no such file", directory.display());
    let controller = knob.controller();
    let hands_down = |text: &str| text.split_whitespace().any(|each| each == controller);
    let above: Vec<_> = room.place.ancestors().collect();
    let barrier = above.iter().rev().find(|above| {
        files::read(CWD, above.join(SUBTREE).as_os_str()).is_ok_and(|enabled| !hands_down(&enabled))
    });
    match barrier {
        Some(above) if room.place.version == Version::V2 && controller != "cgroup" => format!(
            "{sentence}, as the controller {controller:?} could not be enabled in {}: that cgroup may have processes \
             of its own, or not be delegated to us",
            above.join(SUBTREE).display()
        ),
        _ => format!("{sentence}: this kernel can't limit that"),
    }
}

fn restrict_v1(room: &Room, rules: &DeviceRules) -> Result<()> {
    for (file, line) in exceptions::writes(rules).map_err(Error::Cgroup)? {
        files::write_lines(&room.directory, file, &line)
            .doing(|| format!("cannot write {line:?} to {}", room.place.directory().join(file).display()))?;
    }
    Ok(())
}

fn restrict_v2(room: &Room, rules: &DeviceRules) -> Result<()> {
    let cgroup = room.directory.as_fd();
    let program = match bpf::load_device_program(&ebpf::program(rules)) {
        // Root of a user namespace may have been given this cgroup, but no programs. It can't make devices either.
        Err(Errno::PERM) if in_user_namespace() => return Ok(()),
        loaded => loaded.doing(|| {
            "cannot load the program that restricts devices (it needs CAP_BPF or CAP_SYS_ADMIN)".into()
        })?,
    };
    let old = if room.fresh { Vec::new() } else { ours(cgroup).doing(|| cannot_attach(room))? };
    replace(cgroup, &program, &old).doing(|| cannot_attach(room))
}

fn cannot_attach(room: &Room) -> String {
    format!("cannot restrict devices in {}", room.place.directory().display())
}

fn ours(cgroup: BorrowedFd<'_>) -> rustix::io::Result<Vec<OwnedFd>> {
    let mut ours = Vec::new();
    for id in bpf::attached(cgroup)? {
        match bpf::program(id) {
            Ok(program) if bpf::is_ours(program.as_fd())? => ours.push(program),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(ours)
}

/// At no time is the cgroup without a restriction.
fn replace(cgroup: BorrowedFd<'_>, program: &OwnedFd, old: &[OwnedFd]) -> rustix::io::Result<()> {
    let program = program.as_fd();
    let mut rest = old;
    match old.split_first() {
        None => bpf::attach(cgroup, program, None)?,
        Some((first, others)) => match bpf::attach(cgroup, program, Some(first.as_fd())) {
            Ok(()) => rest = others,
            // KERNEL(5.6): older ones can't replace.
            Err(Errno::INVAL) => bpf::attach(cgroup, program, None)?,
            Err(errno) => return Err(errno),
        },
    }
    rest.iter().try_for_each(|old| bpf::detach(cgroup, old.as_fd()))
}
