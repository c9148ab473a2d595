//! Watching a container's cgroup: memory that runs out, and the end of its last process.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{CWD, Mode, OFlags, inotify, openat};
use rustix::io::Errno;

use super::files;
use super::hierarchies::Version;
use super::life::timespec;
use super::paths::{Paths, Place};
use crate::error::{Context, Error, Result};

/// What may happen in a container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Memory ran out: a process was killed, or will be.
    OutOfMemory,
    /// The last process has ended.
    Empty,
}

/// Version 1 tells nobody when a cgroup becomes empty: it is looked at this often.
const GLANCE: Duration = Duration::from_millis(100);

/// Waits for what happens in a container's cgroup from now on.
#[derive(Debug)]
pub struct Watch {
    paths: Paths,
    memory: Option<Memory>,
    /// `cgroup.events` of version 2.
    members: Option<OwnedFd>,
}

/// Who tells when memory runs out.
#[derive(Debug)]
enum Memory {
    V1 { told: OwnedFd, place: Place },
    V2 { told: OwnedFd, kills: u64 },
}

impl Paths {
    /// Begins to watch the cgroup. Where nobody counts memory, nobody tells that it runs out.
    ///
    /// # Errors
    /// The kernel has no descriptors or watches left.
    pub fn watch(&self) -> Result<Watch> {
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
        Ok(Watch {
            paths: self.clone(),
            memory: memory.doing(doing)?,
            members: members.map_or(Ok(None), gone_is_none).doing(doing)?,
        })
    }

    fn memory_v2(&self, place: &Place) -> rustix::io::Result<Memory> {
        let told = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let file = place.directory().join("memory.events");
        inotify::add_watch(&told, &file, inotify::WatchFlags::MODIFY)?;
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

impl Watch {
    /// Waits for the next thing to happen; `None` if nothing does until then. After [`Happening::Empty`] there is
    /// nothing to wait for.
    ///
    /// # Errors
    /// The cgroup can't be read.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Happening>> {
        loop {
            if self.memory.as_mut().is_some_and(|memory| memory.ran_out(&self.paths)) {
                return Ok(Some(Happening::OutOfMemory));
            }
            if !self.has_members()? {
                return Ok(Some(Happening::Empty));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.rest(if self.members.is_some() { left } else { left.min(GLANCE) });
        }
    }

    /// Reading the file tells the kernel which state is known; poll reports what comes after it.
    fn has_members(&self) -> Result<bool> {
        let Some(members) = &self.members else { return Ok(!self.paths.pids()?.is_empty()) };
        let mut text = [0; 256];
        let length = match rustix::io::pread(members, &mut text, 0) {
            Err(Errno::NODEV | Errno::NOENT) => return Ok(false),
            length => length.doing(|| format!("cannot read the members of the cgroup {}", self.paths))?,
        };
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        Ok(files::keyed(&text, "populated") == Some(1))
    }

    fn rest(&self, time: Duration) {
        let memory = self.memory.iter().map(|memory| PollFd::new(memory.told(), PollFlags::IN));
        let members = self.members.iter().map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::PRI));
        // A signal may end it early; the caller looks at everything again.
        _ = poll(&mut memory.chain(members).collect::<Vec<_>>(), Some(&timespec(time)));
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
