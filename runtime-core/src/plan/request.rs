//! What a plan needs besides config.json and the host: who asks, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::WindowSize;
use crate::cgroup::Manager;
use crate::spec::ContainerId;

/// The circumstances of a container's creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The container's name.
    pub id: ContainerId,
    /// The root file system on the host, absolute.
    pub rootfs: PathBuf,
    /// Whether the caller has opened it: then the path is only what it is called.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rootfs_is_open: bool,
    /// Whether init waits for `start` after the container was made; otherwise it executes the program at once.
    pub wait_for_start: bool,
    /// Move the root file system over `/` instead of pivoting to it.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors the program inherits, counted from 0: the standard streams and the preserved ones.
    pub inherited_descriptors: u32,
    /// How many of those after the standard streams are sockets that a service manager listens on for the program.
    #[serde(default)]
    pub listen_fds: u32,
    /// The directory on the host in which the program finds a socket to tell its readiness to.
    #[serde(default)]
    pub notify_directory: Option<PathBuf>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The socket to which the terminal's master is sent, if the configuration asks for a terminal. Without one, the
    /// caller gets the master.
    pub console_socket: Option<PathBuf>,
    /// The terminal's size, instead of that of the configuration.
    pub terminal_size: Option<WindowSize>,
    /// The socket to which a pidfd of the container's first process is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// The systemd that makes the cgroup. Without one, it is made in the file system of cgroups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd: Option<Manager>,
}

impl Request {
    /// The usual circumstances: init waits for `start`, and the program inherits the standard streams.
    pub fn new(id: &ContainerId, rootfs: PathBuf) -> Self {
        const STANDARD_STREAMS: u32 = 3;
        Request {
            id: id.clone(),
            rootfs,
            rootfs_is_open: false,
            wait_for_start: true,
            no_pivot: false,
            no_new_keyring: false,
            inherited_descriptors: STANDARD_STREAMS,
            listen_fds: 0,
            notify_directory: None,
            pid_file: None,
            console_socket: None,
            terminal_size: None,
            pidfd_socket: None,
            systemd: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
