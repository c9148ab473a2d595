//! The past: what later commands read.
//!
//! ```text
//! ROOT               0700, owned by the user who runs this
//! ├── .cache         what can be made again; not a container
//! └── ID             0711; a command that changes the container holds a lock on this directory
//!     ├── intent.json   what is about to be made: all that is needed to remove the traces of an interrupted create
//!     ├── config.json   the bundle's configuration, as it was
//!     ├── resources.json  the resources since an update; without it they are those of config.json
//!     ├── state.json    what was made; from here on the container exists for every command
//!     ├── exit.json     how it ended, once a command has seen that
//!     ├── notify/       a socket for the program's readiness, if somebody wants to hear of it
//!     └── start.sock    where init waits for `start`; while it is here, the container is only created
//! ```
//!
//! Files are replaced by a rename, so that a reader without the lock sees the old or the new one. They are not synced
//! to disk: their subject is processes and cgroups, which a crash of the machine removes too, and the death of this
//! process loses nothing that was written.

mod end;
mod entry;
mod file;
mod identity;
mod record;
mod root;
#[cfg(test)]
pub(crate) mod scratch;
mod settings;
#[cfg(test)]
mod tests;

use crate::container::Status;

pub use end::End;
pub use entry::{Entry, Unlocked};
pub use identity::Identity;
pub(crate) use identity::handle;
pub use record::{Intent, Record, State, VERSION};
pub use root::StateRoot;

/// What can be seen of a container that has a record. Its status follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// The init process is alive; a zombie is not ([`Identity::is_alive`]).
    pub alive: bool,
    /// The start socket is there ([`Entry::awaits_start`], [`StateRoot::awaits_start`]).
    pub awaits_start: bool,
    /// Its cgroup is frozen.
    pub frozen: bool,
}

impl Signs {
    /// Where the container is in its life.
    pub fn status(self) -> Status {
        match self {
            Signs { alive: false, .. } => Status::Stopped,
            Signs { frozen: true, .. } => Status::Paused,
            Signs { awaits_start: true, .. } => Status::Created,
            _ => Status::Running,
        }
    }
}
