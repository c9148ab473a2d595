//! What a plan needs besides config.json and the host: who asks, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::WindowSize;
use crate::spec::ContainerId;

/// The circumstances of a container's creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The container's name.
    pub id: ContainerId,
    /// The root file system on the host, absolute.
    pub rootfs: PathBuf,
    /// Whether init waits for `start` after the container was made; otherwise it executes the program at once.
    pub wait_for_start: bool,
    /// Move the root file system over `/` instead of pivoting to it.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors the program inherits, counted from 0: the standard streams and the preserved ones.
    pub inherited_descriptors: u32,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The socket to which the terminal's master is sent, if the configuration asks for a terminal. Without one, the
    /// caller gets the master.
    pub console_socket: Option<PathBuf>,
    /// The terminal's size, instead of that of the configuration.
    pub terminal_size: Option<WindowSize>,
    /// The socket to which a pidfd of the container's first process is sent.
    pub pidfd_socket: Option<PathBuf>,
}

impl Request {
    /// The usual circumstances: init waits for `start`, and the program inherits the standard streams.
    pub fn new(id: &ContainerId, rootfs: PathBuf) -> Self {
        const STANDARD_STREAMS: u32 = 3;
        Request {
            id: id.clone(),
            rootfs,
            wait_for_start: true,
            no_pivot: false,
            no_new_keyring: false,
            inherited_descriptors: STANDARD_STREAMS,
            pid_file: None,
            console_socket: None,
            terminal_size: None,
            pidfd_socket: None,
        }
    }
}
