//! What is written down, and what is told about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::cgroup;
use crate::container::Status;
use crate::hooks::{Hooks, Kind};
use crate::plan::Request;
use crate::seccomp::Agent;
use crate::spec::ContainerId;

/// The version of [`Intent`] and [`Record`] that this library writes and reads.
pub const VERSION: u32 = 1;

/// What is about to be made. It is written before the first side effect, and again when the init process exists;
/// `delete --force` needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// [`VERSION`].
    pub version: u32,
    /// The container.
    pub id: ContainerId,
    /// Where its cgroup will be.
    pub cgroup: cgroup::Paths,
    /// Its first process, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Identity>,
    /// The bundle's directory; it must be UTF-8.
    pub bundle: PathBuf,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The container.
    pub id: ContainerId,
    /// The version of the specification that its config.json follows.
    pub oci_version: String,
    /// Its first process.
    pub init: Identity,
    /// The bundle's directory; it must be UTF-8.
    pub bundle: PathBuf,
    /// The root's directory on the host, absolute; it must be UTF-8.
    pub rootfs: PathBuf,
    /// When it was made: in UTC, as in `2030-01-31T23:59:59.123456789Z`.
    pub created: String,
    /// Who made it, as a user id.
    pub owner: u32,
    /// The annotations of config.json.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where its cgroup is.
    pub cgroup: cgroup::Paths,
    /// Whether the death of its first process ends all its processes.
    pub private_pid_namespace: bool,
    /// Who decides about system calls of the first process, if somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The hooks that later commands run: startContainer, poststart, poststop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hooks>,
    /// How it was asked for: with config.json it gives the same plan again.
    pub request: Request,
}

impl Record {
    /// Its hooks of one kind.
    pub fn hooks(&self, kind: Kind) -> Option<&Hooks> {
        self.hooks.iter().find(|hooks| hooks.kind == kind)
    }

    /// What is told about the container; `owner` is the name that its owner goes by, or nothing.
    pub fn state(&self, status: Status, owner: impl Into<String>) -> State {
        State {
            oci_version: self.oci_version.clone(),
            id: self.id.to_string(),
            pid: if status == Status::Stopped { 0 } else { self.init.pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: owner.into(),
        }
    }
}

/// The resources of a container that were changed since it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Resources {
    pub(super) version: u32,
    pub(super) id: ContainerId,
    pub(super) resources: LinuxResources,
}

/// What `state` and `list` print, and hooks are told (runtime.md, "State"). The keys have the order in which runc
/// prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Its first process, as the reader sees it; 0 when it is stopped.
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root's directory on the host.
    pub rootfs: PathBuf,
    /// When it was made.
    pub created: String,
    /// The annotations of config.json.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The owner's name, or nothing.
    pub owner: String,
}

/// What all these files say about themselves.
pub(super) trait Document {
    fn version(&self) -> u32;
    fn id(&self) -> &ContainerId;
}

impl Document for Intent {
    fn version(&self) -> u32 {
        self.version
    }

    fn id(&self) -> &ContainerId {
        &self.id
    }
}

impl Document for Resources {
    fn version(&self) -> u32 {
        self.version
    }

    fn id(&self) -> &ContainerId {
        &self.id
    }
}

impl Document for Record {
    fn version(&self) -> u32 {
        self.version
    }

    fn id(&self) -> &ContainerId {
        &self.id
    }
}
