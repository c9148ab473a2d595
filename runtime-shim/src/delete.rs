//! The `delete` action: containerd cleans up after a server that is gone.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::arguments::Flags;
use runtime_core::ContainerId;
use runtime_core::container::Container;

use crate::endpoint;
use crate::event::timestamp;
use crate::log;
use crate::options::Options;
use crate::protos::api::DeleteResponse;
use crate::protos::protobuf::Message;
use crate::reaper::KILLED;
use crate::refusal::Refusal;
use crate::rootfs;

/// Removes the container, whatever state it is in, and gives the answer for containerd. What can't be removed is told
/// in the log: the answer that its program is dead matters more.
///
/// # Errors
/// The name is none, or the state directory can't be used.
pub(crate) fn delete(flags: &Flags) -> Result<Vec<u8>, Refusal> {
    let bundle = if flags.bundle.is_empty() { PathBuf::from(".") } else { PathBuf::from(&flags.bundle) };
    let root = Options::saved(&bundle).state_root(&flags.namespace)?;
    let id = ContainerId::new(&flags.id)?;
    let pid = root.peek(&id).ok().flatten().map_or(0, |record| record.init.pid.unsigned_abs());
    if let Err(error) = Container::delete(&root, &id, true) {
        log::warn(format!("cannot remove the container: {error}"));
    }
    unmount(&bundle);
    endpoint::clean(&bundle);
    let response = DeleteResponse {
        pid,
        exit_status: KILLED,
        exited_at: timestamp(SystemTime::now()),
        ..DeleteResponse::default()
    };
    Ok(response.write_to_bytes()?)
}

fn unmount(bundle: &Path) {
    if let Err(refusal) = rootfs::unmount_all(&rootfs::of(bundle)) {
        log::warn(refusal);
    }
}
