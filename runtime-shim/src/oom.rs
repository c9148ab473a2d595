//! Hears from the kernel when a container runs out of memory.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use runtime_core::cgroup::Paths;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags, inotify, open};
use rustix::io::Errno;

/// Readable when a container may have run out of memory.
#[derive(Debug)]
pub(crate) struct Alarm {
    told: OwnedFd,
    cgroup: Paths,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The kernel tells it, and in the same way that the cgroup is gone.
    V1 { directory: PathBuf },
    /// The kernel tells that a file has changed, in which other things are counted as well.
    V2 { kills: u64 },
}

impl Alarm {
    /// Listens from now on; `None` where nobody counts memory.
    pub(crate) fn of(cgroup: &Paths) -> Option<Self> {
        match (cgroup.v1("memory"), cgroup.v2()) {
            (Some(directory), _) => Self::v1(cgroup, directory).ok(),
            (None, Some(directory)) => Self::v2(cgroup, directory).ok(),
            (None, None) => None,
        }
    }

    /// The kernel is told which descriptor to write to when what another one shows happens.
    fn v1(cgroup: &Paths, directory: PathBuf) -> Result<Self, Errno> {
        let told = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let control = open(directory.join("memory.oom_control"), flags, Mode::empty())?;
        let request = format!("{} {}", told.as_raw_fd(), control.as_raw_fd());
        let written = fs::write(directory.join("cgroup.event_control"), request);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Alarm { told, cgroup: cgroup.clone(), kind: Kind::V1 { directory } })
    }

    fn v2(cgroup: &Paths, directory: PathBuf) -> Result<Self, Errno> {
        let told = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&told, directory.join("memory.events"), inotify::WatchFlags::MODIFY)?;
        let kills = cgroup.oom_kills().unwrap_or_default();
        Ok(Alarm { told, cgroup: cgroup.clone(), kind: Kind::V2 { kills } })
    }

    /// Takes what was told; answers whether it is about memory that ran out.
    pub(crate) fn rang(&mut self) -> bool {
        let was_told = rustix::io::read(&self.told, &mut [0; 4096]).is_ok();
        match &mut self.kind {
            Kind::V1 { directory } => was_told && directory.exists(),
            Kind::V2 { kills } => {
                let before = std::mem::replace(kills, self.cgroup.oom_kills().unwrap_or(*kills));
                *kills > before
            }
        }
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}
