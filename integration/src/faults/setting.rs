//! Where, and as whom, commands meet faults.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde_json::{Value, json};

use super::keeper::Place;
use super::shape::Shape;
use crate::user::{self, Session};
use crate::world::{CGROUPS, World, mount_lone_cgroup2};

/// A layout of cgroups, who makes them, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Root, in the machine's own cgroups.
    Host,
    /// Root, where there is nothing but cgroup2.
    Unified,
    /// An ordinary user, who has been given a cgroup there.
    Rootless,
    /// Root, with cgroups that systemd makes.
    Systemd,
}

impl Setting {
    /// All settings.
    pub const ALL: [Setting; 4] = [Setting::Host, Setting::Unified, Setting::Rootless, Setting::Systemd];

    /// Those that this machine has, and the runtime claims to support.
    pub fn here() -> Vec<Self> {
        let is_here = |setting: &Setting| match setting {
            Setting::Host => World::all().contains(&World::Host),
            Setting::Unified => true,
            Setting::Rootless => user::ours(),
            Setting::Systemd => user::ours() && Path::new("/run/systemd/system").is_dir(),
        };
        Self::ALL.into_iter().filter(is_here).collect()
    }

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Host => "host",
            Setting::Unified => "unified",
            Setting::Rootless => "rootless",
            Setting::Systemd => "systemd",
        }
    }

    /// Whether there can be such a container: an ordinary user's has a user namespace in any case, with all that it owns.
    pub fn has(self, shape: Shape) -> bool {
        self != Setting::Rootless || !matches!(shape, Shape::User | Shape::Shared | Shape::Joined)
    }

    /// What a configuration has to say here, besides its shape.
    pub fn form(self, config: &mut Value, mark: &str) {
        match self {
            Setting::Host | Setting::Unified => {}
            Setting::Rootless => {
                user::with_all_ids(config);
                // The one that only root of the machine may set.
                config["linux"]["sysctl"].as_object_mut().map(|sysctls| sysctls.remove("kernel.domainname"));
            }
            Setting::Systemd => config["linux"]["cgroupsPath"] = json!(format!(":{mark}:c")),
        }
    }

    /// Options before every command.
    pub fn options(self) -> &'static [&'static str] {
        if self == Setting::Systemd { &["--systemd-cgroup"] } else { &[] }
    }

    /// Whether trials have a pid namespace for themselves. Systemd wouldn't know its numbers.
    pub fn has_pids(self) -> bool {
        self != Setting::Systemd
    }

    /// How long a command, or the container's program, may take: an emulated systemd is in no hurry.
    pub fn deadline(self) -> Duration {
        Duration::from_secs(if self == Setting::Systemd { 30 } else { 5 })
    }

    /// Mounts what is seen here, in a mount namespace of our own.
    pub(super) fn mount(self) -> io::Result<()> {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        mount("proc", "/proc", "proc", MountFlags::empty(), None)?;
        if matches!(self, Setting::Unified | Setting::Rootless) {
            mount_lone_cgroup2()?;
        }
        if self == Setting::Rootless { user::move_in() } else { Ok(()) }
    }

    /// Gives what is his to whoever asks.
    pub(super) fn settle(self, place: &Place) -> Option<Session> {
        (self == Setting::Rootless).then(|| {
            ["state", "tmp", "pid", "console"].iter().for_each(|part| user::give(&place.run.join(part)));
            user::give_all(&place.bundle);
            Session::new(&Path::new(CGROUPS).join(&place.mark))
        })
    }
}

/// Between fork and exec: becomes whoever asks.
pub(super) fn enter(session: Option<&OwnedFd>) -> io::Result<()> {
    session.map_or(Ok(()), |procs| user::enter(procs.as_fd()))
}
