//! The future: what will happen, as a list that people can read and that `launch` and the init program carry out.
//!
//! Planning does no I/O. Every fact about the machine comes in [`Host`](crate::Host), so that a plan for any machine
//! can be made, and tested, anywhere.

mod affinity;
mod capabilities;
mod create;
mod draft;
mod exec;
mod hooks;
mod identity;
mod inside;
mod labels;
mod limits;
mod listing;
mod memory;
mod mounts;
mod namespaces;
mod notify;
mod old_mounts;
mod options;
mod program;
mod request;
mod rootfs;
mod scheduling;
mod terminal;

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;
use std::path::PathBuf;

use crate::cgroup;
use crate::hooks::Hooks;
use crate::seccomp::Agent;
use crate::step::{Namespace, Propagation, Step};
use crate::wire::{Form, Put, Sink, Value, put_list};

pub use affinity::Cpus;
pub(crate) use capabilities::names as capability_names;
pub use create::create;
pub use exec::{Joining, exec};
pub(crate) use hooks::hook;
pub(crate) use memory::names as memory_policies;
pub(crate) use namespaces::has_new as has_new_namespace;
pub(crate) use options::names as mount_options;
pub use request::Request;
pub use scheduling::Scheduling;
pub use terminal::WindowSize;

/// The planner's form of a step: it owns its texts and lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Owned;

impl Form for Owned {
    type Text = CString;
    type List<T: Value> = Vec<T>;
}

impl Put for CString {
    fn put(&self, out: &mut dyn Sink) {
        CStr::put(self, out);
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut dyn Sink) {
        put_list(self.iter(), out);
    }
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn position(&self) -> usize {
        self.len()
    }

    fn patch(&mut self, at: usize, word: u32) {
        if let Some(place) = self.get_mut(at..at + size_of::<u32>()) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

/// Where in config.json something comes from, as a JSON pointer (RFC 6901); empty for what the runtime does by
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer(Cow<'static, str>);

impl Pointer {
    /// What no field asked for.
    pub const NONE: Pointer = Pointer(Cow::Borrowed(""));

    /// A pointer that is known when the program is written, such as `/process/cwd`.
    pub const fn of(pointer: &'static str) -> Self {
        Pointer(Cow::Borrowed(pointer))
    }

    /// The pointer to a member or an index of what this one points to; escapes `~` and `/`.
    pub fn child(&self, name: impl fmt::Display) -> Self {
        let name = name.to_string().replace('~', "~0").replace('/', "~1");
        Pointer(Cow::Owned(format!("{}/{name}", self.0)))
    }

    /// The pointer's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that will happen, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What happens, inside and outside, in the order in which it is begun.
    pub entries: Vec<Entry>,
    /// The seccomp profiles that steps refer to by index; compiled (or found in the cache) when the plan is launched.
    pub filters: Vec<crate::seccomp::Profile>,
}

impl Plan {
    /// The entries with their numbers, from 1.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (1..).zip(&self.entries)
    }

    /// The entry with that number.
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// What init gets: its steps, with their numbers.
    pub fn steps(&self) -> Vec<(u32, &Step<Owned>)> {
        self.numbered()
            .filter_map(|(number, entry)| match &entry.deed {
                Deed::Init(step) => Some((number, step)),
                Deed::Host(_) => None,
            })
            .collect()
    }
}

/// One line of a plan. Its number, from 1, is its place in [`Plan::entries`].
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What asked for it.
    pub origin: Pointer,
    /// What is done, and by whom.
    pub deed: Deed,
}

/// What is done, by the side that does it.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// The parent does it, on the host.
    Host(Action),
    /// The init program does it, inside.
    Init(Step<Owned>),
}

/// What the parent does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Makes the container's cgroup, in every hierarchy that the plan names.
    CreateCgroup(cgroup::Paths),
    /// Has systemd make the container's cgroup, around the process.
    StartUnit(cgroup::Start),
    /// Writes one limit.
    SetLimit(cgroup::Knob),
    /// Restricts which devices may be made and opened.
    RestrictDevices(cgroup::DeviceRules),
    /// Starts the init program in new namespaces, and in the cgroup at once where the host can do that.
    Clone {
        /// The namespaces that are made together with the process.
        new: Vec<Namespace>,
        /// Existing namespaces that it must be born in, in the order in which they are entered.
        join: Vec<NamespaceAt>,
        /// Whether the process is born in its cgroup (version 2).
        into_cgroup: bool,
    },
    /// Sends the container's first process to init, which is about to enter its namespaces.
    LendContainer,
    /// Chooses the processors on which the process may run, of those that its cgroup allows.
    SetAffinity(Cpus),
    /// Writes the user namespace's maps and lets the process go on.
    WriteIdMaps {
        /// User ids.
        uids: Vec<IdMap>,
        /// Who writes them.
        uids_by: MapWriter,
        /// Group ids.
        gids: Vec<IdMap>,
        /// Who writes them.
        gids_by: MapWriter,
    },
    /// Compares the maps of the user namespace that the process was born in with those that were expected.
    CheckIdMaps {
        /// User ids.
        uids: Vec<IdMap>,
        /// Group ids.
        gids: Vec<IdMap>,
    },
    /// Moves the process into the cgroup's hierarchies.
    EnterCgroup {
        /// It was born in the hierarchy of version 2.
        born_inside: bool,
    },
    /// Opens a namespace and sends it to init, which is about to join it.
    LendNamespace(NamespaceAt),
    /// Makes a mount of the root directory that the caller has opened, for init to attach.
    LendRoot {
        /// How it stays connected to the host's.
        propagation: Propagation,
    },
    /// Opens a part of the host's tree as a mount of its own and sends it to init, which is about to attach it.
    LendMount(Box<Loan>),
    /// Sends the socket on which init waits for `start`.
    LendStartSocket,
    /// Sets a resource limit of a process in a user namespace, where init may raise none.
    SetRlimit {
        /// `RLIMIT_*` number.
        resource: u32,
        /// The soft limit.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// Sets how the process gets processors.
    SetScheduling(Scheduling),
    /// Sets how the process gets disks.
    SetIoPriority {
        /// `IOPRIO_CLASS_*` number.
        class: u32,
        /// From 0, which gets most, to 7.
        level: u32,
    },
    /// Sets how willingly the kernel kills the process when memory runs out.
    SetOomScoreAdj(i32),
    /// Runs hooks, one after the other.
    RunHooks(Hooks),
    /// Sends the master of the terminal, which init has just opened, to a socket.
    SendTerminal(PathBuf),
    /// Keeps the master of the terminal for the caller, who stands between it and his own.
    KeepTerminal,
    /// Sends a pidfd of the process to a socket.
    SendPidfd {
        /// The socket's path.
        socket: PathBuf,
        /// What is sent along.
        word: &'static str,
    },
    /// Tells an agent about the container, and sends it the descriptor that the filter in force has just given.
    TellAgent(Agent),
    /// Writes the process id where the caller wants it.
    WritePidFile(PathBuf),
    /// Writes the container's record: from here on it exists for every command.
    Record,
}

/// An existing namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceAt {
    /// Its type.
    pub kind: Namespace,
    /// Its path on the host.
    pub path: PathBuf,
    /// It must not be our own: kernel parameters are going to be written in it.
    pub foreign: bool,
}

/// Who writes a map of a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapWriter {
    /// We do.
    Ourselves,
    /// We do, but the kernel wants `setgroups` denied in the namespace for good: who can drop a group may be let in where
    /// its members are kept out.
    WithoutGroups,
    /// `newuidmap` or `newgidmap`, which know what other ids the user may use.
    Helper,
}

/// A range of ids of a user namespace (config-linux.md, "User namespace mappings").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// The first id inside.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// A part of the host's tree, opened by the parent as a mount that is attached nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Loan {
    /// Its path on the host.
    pub source: LoanSource,
    /// Whether the mounts below it come along.
    pub recursive: bool,
    /// How much of it stays connected to the host's mount events, before [`Loan::propagation`].
    pub base: Propagation,
    /// Changes of the propagation, in order.
    pub propagation: Vec<Propagation>,
    /// Attribute changes, in order.
    pub attributes: Vec<AttributeChange>,
    /// Ids of the source appear mapped.
    pub mapping: Option<LoanMapping>,
    /// It must be a procfs: it is to lie where the container's /proc is looked for.
    pub only_procfs: bool,
    /// It is opened where it lies, since this host has no mounts that are attached nowhere: init binds it, and changes what
    /// is to be changed.
    pub attached: bool,
}

/// What a loan opens.
#[derive(Debug, Clone, PartialEq)]
pub enum LoanSource {
    /// A path on the host.
    Path(PathBuf),
    /// The container's own cgroup, in the hierarchy with this mount point.
    Cgroup(PathBuf),
    /// The host's sysfs without what is mounted in it; where that can't be had, with it and read-only.
    Sysfs,
    /// A device node on the host, checked to be the device that was asked for.
    Device {
        /// Its path on the host.
        path: PathBuf,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
}

/// A `mount_setattr` call: attributes set and cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeChange {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// Whether the mounts below it change too.
    pub recursive: bool,
}

/// The user namespace whose maps an id-mapped mount uses.
#[derive(Debug, Clone, PartialEq)]
pub struct LoanMapping {
    /// The maps; a user namespace is made for them. Empty: the container's own user namespace.
    pub uids: Vec<IdMap>,
    /// The group maps, likewise.
    pub gids: Vec<IdMap>,
    /// Whether mounts below it are mapped too.
    pub recursive: bool,
}
