//! The `start` action: a server for the container's group, unless there is one.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::arguments::Flags;

use crate::bootstrap::{EVENTS_ADDRESS, Start};
use crate::endpoint::{self, Endpoint};
use crate::grouping::group;
use crate::options::Options;
use crate::placement;
use crate::refusal::{Doing, Refusal};

/// How libc's allocator behaves in a server, which is idle for nearly all of its life: one heap for all threads, whose end
/// goes back to the kernel soon, and large pieces of their own.
const FRUGAL: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "16384"), ("MALLOC_MMAP_THRESHOLD_", "32768")];

/// Starts a server in this directory, which is the container's bundle, and gives the answer for containerd.
///
/// # Errors
/// The bundle is none, or the server can't be started.
pub(crate) fn start(flags: &Flags) -> Result<Vec<u8>, Refusal> {
    let start = Start::read(flags)?;
    let bundle = Path::new(".");
    let address = endpoint::address(&start, &group(bundle, &start.id)?);
    if let Endpoint::Ours(listener) = endpoint::claim(endpoint::path(&address))? {
        serve(&start, &address, listener)?;
    }
    endpoint::remember(bundle, &address)?;
    start.answer(&address)
}

/// Whoever connects from now on waits for the server, so nobody has to wait for it here.
fn serve(start: &Start, address: &str, listener: UnixListener) -> Result<(), Refusal> {
    let options = Options::of(start.options.as_ref())?;
    placement::yield_to_parent();
    if let Some(cgroup) = &options.shim_cgroup {
        placement::enter(cgroup)?;
    }
    spawn(start, address, listener).inspect_err(|_| _ = std::fs::remove_file(endpoint::path(address)))
}

/// It outlives this process.
fn spawn(start: &Start, address: &str, listener: UnixListener) -> Result<(), Refusal> {
    let binary = std::env::current_exe().doing(|| "cannot find the shim's own binary".into())?;
    let named = ["-namespace", &start.namespace, "-id", &start.id, "-address", &start.address];
    let spawned = Command::new(&binary)
        .args(named)
        .args(["-socket", address])
        .env(EVENTS_ADDRESS, &start.events_address)
        .envs(FRUGAL)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What is meant for containerd's group is not meant for it.
        .process_group(0)
        .spawn();
    spawned.map(drop).doing(|| format!("cannot start {}", binary.display()))
}
