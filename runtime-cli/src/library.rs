//! What the commands use of the library, until the library has it: the same names and signatures, doing nothing.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unused_self, reason = "replaced by re-exports")]

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use runtime_core::container::Status;
pub use runtime_core::error::{ConfigError, Context, Wanted};
pub use runtime_core::{Error, Host, Result};
use rustix::process::Pid;

fn unwritten<T>() -> Result<T> {
    Err(Error::Died("unwritten".into()))
}

pub struct StateRoot;

impl StateRoot {
    pub fn open(_path: &Path) -> Result<Self> {
        Ok(StateRoot)
    }
    pub fn existing(path: &Path) -> Result<Option<Self>> {
        Ok(path.is_dir().then_some(StateRoot))
    }
}

pub struct Spec {
    warnings: Vec<String>,
}

impl Spec {
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

pub struct Bundle {
    path: PathBuf,
    spec: Spec,
}

impl Bundle {
    pub fn open(path: &Path) -> Result<Bundle> {
        Ok(Bundle { path: path.into(), spec: Spec { warnings: Vec::new() } })
    }
    pub fn path(&self) -> &Path {
        &self.path
    }
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

#[derive(Debug)]
pub struct ContainerId(String);

impl ContainerId {
    pub fn new(id: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
        if id.is_empty() || id == "." || id == ".." || !id.chars().all(allowed) {
            return Err(Error::InvalidId(id.into()));
        }
        Ok(ContainerId(id.into()))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub enum TerminalOwner {
    None,
    Socket(PathBuf),
    Caller,
}

pub struct CreateOptions {
    pub no_pivot: bool,
    pub no_new_keyring: bool,
    pub preserve_fds: u32,
    pub systemd_cgroup: bool,
    pub pid_file: Option<PathBuf>,
    pub terminal_owner: TerminalOwner,
}

pub struct Container;

impl Container {
    pub fn create(_: &StateRoot, _: &ContainerId, _: &Bundle, _: &CreateOptions) -> Result<Container> {
        unwritten()
    }
    pub fn run(_: &StateRoot, _: &ContainerId, _: &Bundle, _: &CreateOptions) -> Result<Running> {
        unwritten()
    }
    pub fn find(_: &StateRoot, id: &ContainerId) -> Result<Container> {
        Err(Error::NotFound(id.as_str().into()))
    }
    pub fn state(&self) -> Result<State> {
        unwritten()
    }
    pub fn start(&self) -> Result<()> {
        unwritten()
    }
    pub fn kill(&self, _signal: i32, _all: bool) -> Result<()> {
        unwritten()
    }
    pub fn delete(_: &StateRoot, id: &ContainerId, _force: bool) -> Result<()> {
        Err(Error::NotFound(id.as_str().into()))
    }
    pub fn list(_: &StateRoot) -> Result<Vec<(String, Result<State>)>> {
        Ok(Vec::new())
    }
}

pub struct Running {
    pidfd: OwnedFd,
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::INIT
    }
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
    pub fn signal(&self, _signal: i32) -> Result<()> {
        unwritten()
    }
    pub fn wait(self) -> Result<Exit> {
        unwritten()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(u8),
    Signal(i32),
}

#[derive(serde::Serialize)]
pub struct State {
    #[serde(rename = "ociVersion")]
    pub oci_version: String,
    pub id: String,
    pub pid: i32,
    pub status: Status,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    pub owner: String,
    #[serde(skip)]
    pub owner_uid: u32,
}

pub mod plan {
    use super::*;

    pub struct Request<'a> {
        pub id: &'a ContainerId,
        pub bundle: &'a Path,
        pub no_pivot: bool,
    }

    pub struct Plan;

    pub fn create(_: &Spec, _: &Host, _: &Request<'_>) -> Result<Plan, ConfigError> {
        Err(ConfigError::new("", "unwritten"))
    }

    impl Plan {
        pub fn listing(&self) -> impl fmt::Display {
            ""
        }
        pub fn listing_json(&self) -> serde_json::Value {
            serde_json::Value::Null
        }
    }
}

pub mod spec {
    pub fn template_text(_rootless: Option<(u32, u32)>, _cgroup2: bool) -> String {
        "{}\n".into()
    }
}
