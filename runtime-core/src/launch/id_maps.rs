//! The maps of a user namespace.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::clone::{Request, UserNamespace, birth};
use super::dialogue::Dialogue;
use super::{image, loans, procfs};
use crate::error::{Context, Result};
use crate::plan::IdMap;
use crate::step::Namespace;

/// Writes both maps of the user namespace of a process that waits for them. The kernel takes each in one write.
pub(super) fn write(pid: u32, uids: &[IdMap], gids: &[IdMap]) -> Result<()> {
    procfs::write(pid, "uid_map", &lines(uids))?;
    procfs::write(pid, "gid_map", &lines(gids))
}

/// A user namespace with these maps and without a process.
pub(super) fn namespace_with(uids: &[IdMap], gids: &[IdMap]) -> Result<OwnedFd> {
    let doing = || "cannot make a user namespace for an id-mapped mount".to_string();
    let (dialogue, theirs) = Dialogue::pair().doing(doing)?;
    let (process, _memory) = birth(Request {
        namespaces: libc::CLONE_NEWUSER as u64,
        join: &[],
        cgroup: None,
        image: image::image()?,
        parent_end: dialogue.as_fd(),
        dialogue: theirs.as_fd(),
        dialogue_place: theirs.as_raw_fd(),
        descriptors: Vec::new(),
        user_namespace: UserNamespace::New,
    })
    .doing(doing)?;
    let path = PathBuf::from(format!("/proc/{}/ns/user", process.pid));
    let namespace =
        write(process.pid, uids, gids).and_then(|()| loans::open_namespace(Namespace::User, &path));
    // It waits for a word that never comes.
    drop(dialogue);
    process.end();
    namespace
}

fn lines(map: &[IdMap]) -> String {
    map.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}
