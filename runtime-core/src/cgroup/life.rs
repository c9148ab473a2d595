//! What later commands do with a container's cgroup.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};

use super::files;
use super::hierarchies::Version;
use super::paths::{Paths, Place};
use super::tree::{self, is_gone};
use crate::error::{Context, Error, Result};
use crate::state;
use crate::sys::process::rest;

/// How many processes are signalled at once: each takes a descriptor meanwhile.
const BATCH: usize = 64;

impl Paths {
    /// The processes of the cgroup and of all below it, ascending.
    pub fn pids(&self) -> Result<Vec<u32>> {
        Ok(self.members()?.into_iter().collect())
    }

    fn members(&self) -> Result<BTreeSet<u32>> {
        let mut pids = BTreeSet::new();
        for place in &self.places {
            pids.append(&mut tree::pids(place)?);
        }
        Ok(pids)
    }

    /// Sends SIGKILL to every process of the cgroup and of all below it, however fast they multiply, and thaws them so
    /// that they can die. It doesn't wait for their deaths.
    ///
    /// # Errors
    /// A process may not be signalled, or new ones keep appearing until the deadline.
    pub fn kill_all(&self, deadline: Instant) -> Result<()> {
        if self.kill_at_once()? {
            if self.places.iter().all(|place| place.version == Version::V2) {
                return Ok(());
            }
            self.thaw_all();
            return self.signal_all(Signal::KILL, deadline);
        }
        if self.members()?.is_empty() {
            return Ok(());
        }
        let _thaws = Thaw(self);
        // Without a freezer, or if it is slow, the rounds of signals catch the new ones.
        _ = self.begin_freezing();
        self.wait_until_frozen(deadline.min(Instant::now() + Duration::from_millis(500)))?;
        self.signal_all(Signal::KILL, deadline)
    }

    /// KERNEL(5.14): older ones have no cgroup.kill.
    fn kill_at_once(&self) -> Result<bool> {
        let Some(place) = self.place(Version::V2, None) else { return Ok(false) };
        match write(place, "cgroup.kill", "1") {
            // In a threaded cgroup it can't be written.
            Err(Error::System { errno: Errno::OPNOTSUPP, .. }) => Ok(false),
            written => written,
        }
    }

    /// Sends a signal to every process of the cgroup and of all below it, also to those that appear meanwhile.
    ///
    /// # Errors
    /// A process may not be signalled, or new ones keep appearing until the deadline.
    pub fn signal_all(&self, signal: Signal, deadline: Instant) -> Result<()> {
        let mut done = BTreeSet::new();
        loop {
            let new: Vec<u32> = self.members()?.difference(&done).copied().collect();
            if new.is_empty() {
                return Ok(());
            }
            for pids in new.chunks(BATCH) {
                self.signal(pids, signal)?;
            }
            done.extend(new);
            if Instant::now() >= deadline {
                return Err(Error::Cgroup(format!("new processes keep appearing in the cgroup {self}")));
            }
        }
    }

    /// A process that is still a member after its descriptor was opened is the one that was listed.
    fn signal(&self, pids: &[u32], signal: Signal) -> Result<()> {
        let handles = pids.iter().filter_map(|&pid| Some(handle(pid).transpose()?.map(|found| (pid, found))));
        let handles = handles.collect::<Result<Vec<_>>>()?;
        let members = self.members()?;
        for (pid, handle) in handles.iter().filter(|(pid, _)| members.contains(pid)) {
            match pidfd_send_signal(handle, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    return Err(errno).doing(|| format!("cannot signal process {pid} of the container"));
                }
            }
        }
        Ok(())
    }

    /// Freezes the cgroup's processes and waits until they are. Where that fails, they are thawed again.
    ///
    /// # Errors
    /// There is no freezer; or a process can't be frozen until the deadline.
    pub fn freeze(&self, deadline: Instant) -> Result<()> {
        let thaws = Thaw(self);
        if !self.begin_freezing()? {
            return Err(Error::Cgroup(format!("nothing on this host can freeze the cgroup {self}")));
        }
        if !self.wait_until_frozen(deadline)? {
            return Err(Error::Cgroup(format!("not every process in the cgroup {self} can be frozen")));
        }
        std::mem::forget(thaws);
        Ok(())
    }

    /// Whether there is anything that freezes.
    fn begin_freezing(&self) -> Result<bool> {
        for (place, file, frozen, _) in self.freezers() {
            if write(place, file, frozen)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn wait_until_frozen(&self, deadline: Instant) -> Result<bool> {
        let mut pauses = Pauses::until(deadline);
        while !self.is_frozen()? {
            // Version 1 gives up on processes that it catches at a bad moment: it is asked again, and now and then from
            // the beginning.
            if pauses.taken % ROUNDS == ROUNDS - 1 {
                self.thaw()?;
            }
            if !pauses.take() || !self.begin_freezing()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether it was asked to freeze, whether or not every process has done so, and by whomever.
    ///
    /// # Errors
    /// The freezer can't be read.
    pub fn is_held(&self) -> Result<bool> {
        for (place, ..) in self.freezers() {
            let (file, held) = match place.version {
                Version::V2 => ("cgroup.freeze", "1"),
                Version::V1 => ("freezer.self_freezing", "1"),
            };
            if content(place, file)?.is_some_and(|text| text.trim() == held) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the cgroup's processes are frozen.
    pub fn is_frozen(&self) -> Result<bool> {
        for (place, ..) in self.freezers() {
            if place_is_frozen(place)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the cgroup's processes run on. What the container itself has frozen below stays frozen.
    pub fn thaw(&self) -> Result<()> {
        for (place, file, _, thawed) in self.freezers() {
            write(place, file, thawed)?;
        }
        Ok(())
    }

    /// Waits until its processes, which were thawed, run on.
    ///
    /// # Errors
    /// They don't until the deadline: a cgroup above this one is frozen.
    pub fn wait_until_thawed(&self, deadline: Instant) -> Result<()> {
        let mut pauses = Pauses::until(deadline);
        while self.is_frozen()? {
            if !pauses.take() {
                return Err(Error::Cgroup(format!("the cgroup {self} is still frozen: one above it may be")));
            }
        }
        Ok(())
    }

    /// Thaws those below, too: version 1 doesn't let a frozen process die.
    fn thaw_all(&self) {
        for (place, file, _, thawed) in self.freezers() {
            let thaw = |directory: &OwnedFd| {
                _ = files::write_lines(directory, file, thawed);
                Ok(())
            };
            let top = files::open_directory(CWD, place.directory().as_os_str());
            _ = top.and_then(|top| tree::walk(top, thaw, |_, _| Ok(())));
        }
    }

    /// The cgroups that can freeze: each with its file, and the words for frozen and thawed.
    fn freezers(&self) -> impl Iterator<Item = (&Place, &'static str, &'static str, &'static str)> {
        let v2 = self.place(Version::V2, None).map(|place| (place, "cgroup.freeze", "1", "0"));
        let v1 = self.place(Version::V1, Some("freezer"));
        v2.into_iter().chain(v1.map(|place| (place, "freezer.state", "FROZEN", "THAWED")))
    }

    /// How many of the cgroup's processes were killed because memory ran out. `None` if nobody counts.
    pub fn oom_kills(&self) -> Option<u64> {
        let v1 = self.place(Version::V1, Some("memory")).map(|place| (place, "memory.oom_control"));
        let v2 = || self.place(Version::V2, None).map(|place| (place, "memory.events"));
        let (place, file) = v1.or_else(v2)?;
        files::keyed(&read(place, file).ok()?, "oom_kill")
    }
}

/// Longer and longer pauses up to a deadline.
struct Pauses {
    deadline: Instant,
    next: Duration,
    taken: usize,
}

/// After so many attempts to freeze, processes are let run on before the next one.
const ROUNDS: usize = 16;

impl Pauses {
    fn until(deadline: Instant) -> Self {
        Pauses { deadline, next: Duration::from_micros(100), taken: 0 }
    }

    /// Takes one, unless the deadline has come.
    fn take(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        rest(self.next.min(left));
        self.next = (self.next * 2).min(Duration::from_millis(50));
        self.taken += 1;
        !left.is_zero()
    }
}

/// Thaws whatever happens.
struct Thaw<'a>(&'a Paths);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        self.0.thaw_all();
    }
}

fn handle(pid: u32) -> Result<Option<OwnedFd>> {
    Pid::from_raw(pid.cast_signed()).map_or(Ok(None), state::handle)
}

fn read(place: &Place, file: &str) -> rustix::io::Result<String> {
    files::read_short(CWD, place.directory().join(file).as_os_str())
}

/// Whether there is such a file.
fn write(place: &Place, file: &str, value: &str) -> Result<bool> {
    let directory = place.directory();
    match files::open_place(&directory).and_then(|at| files::write_lines(at, file, value)) {
        Ok(()) => Ok(true),
        Err(errno) if is_gone(errno) => Ok(false),
        Err(errno) => Err(errno).doing(|| format!("cannot write to {}", directory.join(file).display())),
    }
}

/// Whether the cgroup in this hierarchy is frozen; it isn't where nothing can freeze it.
pub(super) fn place_is_frozen(place: &Place) -> Result<bool> {
    let (file, frozen): (&str, fn(&str) -> bool) = match place.version {
        Version::V2 => ("cgroup.events", |text| files::keyed(text, "frozen") == Some(1)),
        Version::V1 if place.has("freezer") => ("freezer.state", |text| text.trim() == "FROZEN"),
        Version::V1 => return Ok(false),
    };
    Ok(content(place, file)?.is_some_and(|text| frozen(&text)))
}

/// A file's text; none where it is gone.
fn content(place: &Place, file: &str) -> Result<Option<String>> {
    match read(place, file) {
        Ok(text) => Ok(Some(text)),
        Err(errno) if is_gone(errno) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("cannot read {}", place.directory().join(file).display())),
    }
}

/// Waits until the last process of a version 2 cgroup may have gone, at most for `longest`. For version 1, which tells
/// nobody, and for a cgroup that is empty already, just for `pause`.
pub(super) fn wait_until_empty(place: &Place, pause: Duration, longest: Duration) {
    let events = match place.version {
        Version::V2 => place.directory().join("cgroup.events"),
        Version::V1 => return rest(pause.min(longest)),
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = openat(CWD, &events, flags, Mode::empty()) else { return rest(pause.min(longest)) };
    // Reading tells the kernel which state we know; poll reports what comes after it.
    let mut text = [0; 256];
    let length = rustix::io::read(&file, &mut text).unwrap_or(0);
    let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    match files::keyed(text, "populated") {
        Some(1) => {
            let changed = PollFd::new(&file, PollFlags::PRI);
            _ = poll(&mut [changed], Some(&timespec(longest)));
        }
        _ => rest(pause.min(longest)),
    }
}

pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// What a process of ours is stuck in, as far as the kernel tells.
pub(crate) fn waiting_in(pid: u32) -> Option<String> {
    let path = format!("/proc/{pid}/wchan");
    let place = files::read(CWD.as_fd(), OsStr::new(&path)).ok()?;
    Some(place).filter(|place| !matches!(place.as_str(), "" | "0"))
}
