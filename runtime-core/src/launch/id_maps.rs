//! The maps of a user namespace.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::clone::{Request, UserNamespace, birth};
use super::dialogue::Dialogue;
use super::{image, loans, procfs, subids};
use crate::error::{Context, Result};
use crate::plan::{IdMap, MapWriter};
use crate::step::Namespace;

/// Writes both maps of the user namespace of a process that waits for them.
pub(super) struct Writer<'a> {
    /// The process.
    pub(super) pid: u32,
    /// Where helpers are looked for.
    pub(super) helpers: &'a [PathBuf],
}

impl Writer<'_> {
    /// The kernel takes each map in one write.
    pub(super) fn write(
        &self,
        uids: &[IdMap],
        uids_by: MapWriter,
        gids: &[IdMap],
        gids_by: MapWriter,
    ) -> Result<()> {
        self.write_one(uids, uids_by, "uid_map", "newuidmap")?;
        self.write_one(gids, gids_by, "gid_map", "newgidmap")
    }

    fn write_one(&self, map: &[IdMap], by: MapWriter, file: &str, helper: &str) -> Result<()> {
        if by == MapWriter::Helper {
            return subids::write(helper, self.helpers, self.pid, map);
        }
        if by == MapWriter::WithoutGroups {
            // Before the map, or the kernel refuses it.
            procfs::write(self.pid, "setgroups", "deny")?;
        }
        procfs::write(self.pid, file, &lines(map))
    }
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
    let (writer, ours) = (Writer { pid: process.pid, helpers: &[] }, MapWriter::Ourselves);
    let namespace =
        writer.write(uids, ours, gids, ours).and_then(|()| loans::open_namespace(Namespace::User, &path));
    // It waits for a word that never comes.
    drop(dialogue);
    process.end();
    namespace
}

fn lines(map: &[IdMap]) -> String {
    map.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}
