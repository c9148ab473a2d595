//! Watching a container's cgroup: what the kernel tells about it, and when its first process ends.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{CWD, Mode, OFlags, inotify, openat};
use rustix::io::Errno;

use super::files;
use super::hierarchies::Version;
use super::life::timespec;
use super::paths::{Paths, Place};
use crate::error::{Context, Error, Result};
use crate::sys::process::wait_for_end;

/// What may happen in a container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// Memory ran out: a process was killed, or will be.
    OutOfMemory,
    /// A process was not made, since there are as many as there may be.
    TooManyProcesses,
    /// Processes waited for this for longer than a [`Threshold`] allows.
    Pressure(Resource),
    /// Every process stands still.
    Frozen,
    /// They run on.
    Thawed,
    /// The first process has ended.
    Exited,
    /// The last process has ended.
    Empty,
}

/// What processes may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A processor.
    Cpu,
    /// Memory that has to be made free, or read again.
    Memory,
    /// A disk.
    Io,
}

impl Resource {
    fn file(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu.pressure",
            Resource::Memory => "memory.pressure",
            Resource::Io => "io.pressure",
        }
    }
}

/// How long processes may wait before somebody is told (the kernel's pressure stall information, version 2 only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// For what.
    pub resource: Resource,
    /// Whether all have to wait at once; otherwise it is enough that some do.
    pub all: bool,
    /// For how long altogether,
    pub stall: Duration,
    /// within so much time: from half a second to ten, for those without privileges in steps of two.
    pub window: Duration,
}

impl Threshold {
    /// In microseconds.
    fn request(self) -> String {
        let who = if self.all { "full" } else { "some" };
        format!("{who} {} {}\0", self.stall.as_micros(), self.window.as_micros())
    }
}

/// Version 1 tells nobody when a cgroup becomes empty or is frozen, or a process was not made: it is looked at this often.
const GLANCE: Duration = Duration::from_millis(100);

/// Waits for what happens in a container's cgroup from now on.
#[derive(Debug)]
pub struct Watch {
    paths: Paths,
    memory: Option<Memory>,
    refusals: Option<Refusals>,
    pressure: Vec<(Resource, OwnedFd)>,
    /// What was told of those: the kernel tells each thing once.
    stalled: Vec<Resource>,
    /// `cgroup.events` of version 2.
    members: Option<OwnedFd>,
    frozen: bool,
    /// The first process, until it has ended.
    first: Option<OwnedFd>,
}

/// How often a process was not made.
#[derive(Debug)]
struct Refusals {
    /// Version 1 tells nobody.
    told: Option<OwnedFd>,
    file: PathBuf,
    count: u64,
}

impl Refusals {
    fn of(place: &Place) -> rustix::io::Result<Self> {
        let file = place.directory().join("pids.events");
        let told = (place.version == Version::V2).then(|| changes_of(&file)).transpose()?;
        let count = Self::read(&file).ok_or(Errno::NOENT)?;
        Ok(Refusals { told, file, count })
    }

    fn read(file: &Path) -> Option<u64> {
        files::keyed(&files::read_short(CWD, file.as_os_str()).ok()?, "max")
    }

    /// Takes what was told; answers whether there are more than before.
    fn grew(&mut self) -> bool {
        let mut buffer = [0; 4096];
        if self.told.as_ref().is_some_and(|told| rustix::io::read(told, &mut buffer).is_err()) {
            return false;
        }
        let before = self.count;
        self.count = Self::read(&self.file).unwrap_or(before);
        self.count > before
    }
}

/// A descriptor that tells when the kernel changes a file of a cgroup.
fn changes_of(file: &Path) -> rustix::io::Result<OwnedFd> {
    let told = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&told, file, inotify::WatchFlags::MODIFY)?;
    Ok(told)
}

/// Who tells when memory runs out.
#[derive(Debug)]
enum Memory {
    V1 { told: OwnedFd, place: Place },
    V2 { told: OwnedFd, kills: u64 },
}

impl Paths {
    /// Begins to watch the cgroup, and its first process. Where nobody counts memory or processes, nobody tells that
    /// there are none left.
    ///
    /// # Errors
    /// The kernel has no descriptors or watches left, or doesn't take a threshold.
    pub(crate) fn watch(&self, thresholds: &[Threshold], first: Option<OwnedFd>) -> Result<Watch> {
        if self.is_empty() {
            return Err(Error::Cgroup("the container has no cgroup, in which something could happen".into()));
        }
        let doing = || format!("cannot watch the cgroup {self}");
        let memory = match (self.place(Version::V1, Some("memory")), self.place(Version::V2, None)) {
            (Some(place), _) => gone_is_none(Memory::v1(place)),
            (None, Some(place)) => gone_is_none(self.memory_v2(place)),
            (None, None) => Ok(None),
        };
        let members = self.place(Version::V2, None).map(|place| open(place, "cgroup.events"));
        let refusals = self.place(Version::V1, Some("pids")).or_else(|| self.place(Version::V2, None));
        let refusals = refusals.map_or(Ok(None), |place| gone_is_none(Refusals::of(place)));
        let pressure = thresholds.iter().map(|threshold| self.pressure(*threshold));
        let mut watch = Watch {
            paths: self.clone(),
            memory: memory.doing(doing)?,
            refusals: refusals.doing(doing)?,
            pressure: pressure.collect::<Result<_>>()?,
            stalled: Vec::new(),
            members: members.map_or(Ok(None), gone_is_none).doing(doing)?,
            frozen: false,
            first,
        };
        watch.frozen = watch.look()?.frozen;
        Ok(watch)
    }

    fn pressure(&self, threshold: Threshold) -> Result<(Resource, OwnedFd)> {
        let file = threshold.resource.file();
        let place = self.place(Version::V2, None).ok_or(Errno::NOENT);
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = place.and_then(|place| openat(CWD, place.directory().join(file), flags, Mode::empty()));
        let asked = opened.and_then(|told| {
            rustix::io::write(&told, threshold.request().as_bytes())?;
            Ok((threshold.resource, told))
        });
        asked.doing(|| format!("cannot watch {file} of the cgroup {self}"))
    }

    fn memory_v2(&self, place: &Place) -> rustix::io::Result<Memory> {
        let told = changes_of(&place.directory().join("memory.events"))?;
        Ok(Memory::V2 { told, kills: self.oom_kills().unwrap_or_default() })
    }
}

impl Memory {
    /// The kernel is told which descriptor to write to when what another one shows happens.
    fn v1(place: &Place) -> rustix::io::Result<Self> {
        let told = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = open(place, "memory.oom_control")?;
        let request = format!("{} {}", told.as_raw_fd(), control.as_raw_fd());
        let directory = files::open_place(&place.directory())?;
        files::write_lines(directory, "cgroup.event_control", &request)?;
        Ok(Memory::V1 { told, place: place.clone() })
    }

    fn told(&self) -> &OwnedFd {
        match self {
            Memory::V1 { told, .. } | Memory::V2 { told, .. } => told,
        }
    }

    /// Takes what was told; answers whether it is about memory that ran out.
    fn ran_out(&mut self, paths: &Paths) -> bool {
        let mut buffer = [0; 4096];
        let was_told = rustix::io::read(self.told(), &mut buffer).is_ok();
        match self {
            // The removal of the cgroup is told in the same way.
            Memory::V1 { place, .. } => was_told && place.directory().exists(),
            // Other lines of the file change as well.
            Memory::V2 { kills, .. } => {
                let before = std::mem::replace(kills, paths.oom_kills().unwrap_or(*kills));
                *kills > before
            }
        }
    }
}

/// What can be seen of a cgroup.
#[derive(Debug, Clone, Copy)]
struct Looks {
    populated: bool,
    frozen: bool,
}

impl Watch {
    /// Waits for the next thing to happen; `None` if nothing does until then. After [`Happening::Empty`] there is
    /// nothing to wait for.
    ///
    /// # Errors
    /// The cgroup can't be read.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Happening>> {
        let mut pause = Duration::ZERO;
        loop {
            self.rest(pause);
            if let Some(happening) = self.happening()? {
                return Ok(Some(happening));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            pause = if self.is_told() { left } else { left.min(GLANCE) };
        }
    }

    fn happening(&mut self) -> Result<Option<Happening>> {
        if self.memory.as_mut().is_some_and(|memory| memory.ran_out(&self.paths)) {
            return Ok(Some(Happening::OutOfMemory));
        }
        if self.refusals.as_mut().is_some_and(Refusals::grew) {
            return Ok(Some(Happening::TooManyProcesses));
        }
        if let Some(resource) = self.stalled.pop() {
            return Ok(Some(Happening::Pressure(resource)));
        }
        if self.first.take_if(|first| wait_for_end(first.as_fd(), Duration::ZERO)).is_some() {
            return Ok(Some(Happening::Exited));
        }
        let now = self.look()?;
        let before = std::mem::replace(&mut self.frozen, now.frozen);
        Ok(match now {
            Looks { populated: false, .. } => Some(Happening::Empty),
            Looks { frozen: true, .. } if !before => Some(Happening::Frozen),
            Looks { frozen: false, .. } if before => Some(Happening::Thawed),
            _ => None,
        })
    }

    /// Whether the kernel tells whatever happens.
    fn is_told(&self) -> bool {
        let refusals = self.refusals.as_ref().is_none_or(|refusals| refusals.told.is_some());
        refusals && self.members.is_some() && !self.is_frozen_by_v1()
    }

    fn is_frozen_by_v1(&self) -> bool {
        self.paths.place(Version::V1, Some("freezer")).is_some()
    }

    /// Reading the file tells the kernel which state is known; poll reports what comes after it.
    fn look(&self) -> Result<Looks> {
        let frozen = || self.paths.is_frozen().unwrap_or(false);
        let Some(members) = &self.members else {
            return Ok(Looks { populated: !self.paths.pids()?.is_empty(), frozen: frozen() });
        };
        let mut text = [0; 256];
        let length = match rustix::io::pread(members, &mut text, 0) {
            Err(Errno::NODEV | Errno::NOENT) => return Ok(Looks { populated: false, frozen: false }),
            length => length.doing(|| format!("cannot read the members of the cgroup {}", self.paths))?,
        };
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        let says = |key| files::keyed(&text, key) == Some(1);
        let frozen = if self.is_frozen_by_v1() { frozen() } else { says("frozen") };
        Ok(Looks { populated: says("populated"), frozen })
    }

    /// A signal may end it early; the caller looks at everything again.
    fn rest(&mut self, time: Duration) {
        let pressure = self.pressure.iter().map(|(_, told)| (told, PollFlags::PRI));
        let memory = self.memory.iter().map(|memory| (memory.told(), PollFlags::IN));
        let refusals =
            self.refusals.iter().filter_map(|refusals| Some((refusals.told.as_ref()?, PollFlags::IN)));
        let members = self.members.iter().map(|file| (file, PollFlags::PRI));
        let first = self.first.iter().map(|first| (first, PollFlags::IN));
        let all = pressure.chain(memory).chain(refusals).chain(members).chain(first);
        let mut all: Vec<_> = all.map(|(fd, flags)| PollFd::new(fd, flags)).collect();
        _ = poll(&mut all, Some(&timespec(time)));
        let told = all.iter().map(|one| one.revents().contains(PollFlags::PRI));
        let stalled = self.pressure.iter().zip(told).filter(|(_, told)| *told);
        self.stalled.extend(stalled.map(|((resource, _), _)| *resource));
    }
}

fn open(place: &Place, file: &str) -> rustix::io::Result<OwnedFd> {
    let path = place.directory().join(file);
    openat(CWD, OsStr::new(&path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// There may be no such file, or no such cgroup any more.
fn gone_is_none<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        result => result.map(Some),
    }
}
