//! The maps of a user namespace.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::clone::{Request, UserNamespace, birth};
use super::dialogue::Dialogue;
use super::{image, subids};
use crate::error::{ConfigError, Context, Error, Result};
use crate::plan::{IdMap, MapWriter, Pointer};
use crate::procfs;
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
            subids::write(helper, self.helpers, self.pid, map)?;
            return self.confirm(map, file, helper);
        }
        if by == MapWriter::WithoutGroups {
            // Before the map, or the kernel refuses it.
            procfs::write(self.pid, "setgroups", "deny")?;
        }
        procfs::write(self.pid, file, &lines(map))
    }

    /// A helper is somebody else's program, and found by its name.
    fn confirm(&self, map: &[IdMap], file: &str, helper: &str) -> Result<()> {
        let found = procfs::read(self.pid, file)?;
        if whole(parse(&found)) == whole(map.to_vec()) {
            return Ok(());
        }
        let (found, wanted) = (in_a_row(&found), in_a_row(&lines(map)));
        Err(Error::Died(format!("{helper} has made the map \"{found}\" instead of \"{wanted}\"")))
    }
}

fn in_a_row(lines: &str) -> String {
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Compares both maps of the user namespace of a process with those that were expected of it.
pub(super) fn check(pid: u32, uids: &[IdMap], gids: &[IdMap]) -> Result<()> {
    for (name, field, expected) in [("uid_map", "uidMappings", uids), ("gid_map", "gidMappings", gids)] {
        let found = procfs::read(pid, name)?;
        if whole(parse(&found)) != whole(expected.to_vec()) {
            let (found, expected) = (in_a_row(&found), in_a_row(&lines(expected)));
            let problem = format!(
                "the user namespace that is joined by path has other mappings ({found}) than these ({expected}); \
                 leave them out or make them equal"
            );
            return Err(ConfigError::new(Pointer::of("/linux").child(field), problem).into());
        }
    }
    Ok(())
}

fn parse(text: &str) -> Vec<IdMap> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(IdMap { inside: number()?, outside: number()?, size: number()? })
    };
    text.lines().filter_map(range).collect()
}

/// A map in its order, without cuts: the same ids can be told in many ways.
fn whole(mut map: Vec<IdMap>) -> Vec<IdMap> {
    map.sort_by_key(|range| range.inside);
    map.dedup_by(|next, range| {
        let goes_on = |from: u32, to: u32| from.checked_add(range.size) == Some(to);
        let joins = goes_on(range.inside, next.inside) && goes_on(range.outside, next.outside);
        if joins {
            range.size += next.size;
        }
        joins
    });
    map
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
    let (writer, ours) = (Writer { pid: process.pid, helpers: &[] }, MapWriter::Ourselves);
    let written = writer.write(uids, ours, gids, ours);
    let namespace = written.and_then(|()| procfs::namespace(process.pid, Namespace::User));
    // It waits for a word that never comes.
    drop(dialogue);
    process.end();
    namespace
}

/// In the order in which the kernel keeps, and shows, more than a few ranges.
fn lines(map: &[IdMap]) -> String {
    let mut map = map.to_vec();
    map.sort_by_key(|range| range.inside);
    map.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_equal_however_they_are_cut_and_ordered() {
        let map = |text: &str| whole(parse(text));
        assert_eq!(map("0 100 10\n10 110 5\n20 7 1"), map("20 7 1\n0 100 15"));
        assert_eq!(map("         0          0 4294967295\n"), map("0 0 4294967295"));
        for other in ["0 100 14\n20 7 1", "0 100 15", "0 101 15\n20 7 1", "0 100 15\n20 7 1\n21 9 1", ""] {
            assert_ne!(map(other), map("0 100 15\n20 7 1"), "{other}");
        }
    }
}
