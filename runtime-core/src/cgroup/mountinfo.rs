//! `/proc/PID/mountinfo`, as far as cgroup hierarchies are found with it. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line, with its paths still escaped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mount<'a> {
    id: &'a str,
    parent: &'a str,
    root: &'a str,
    point: &'a str,
    /// The file system's type.
    pub(super) kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, device) = line.split_once(" - ")?;
        let mut place = place.split(' ');
        let (id, parent, _device) = (place.next()?, place.next()?, place.next()?);
        let (root, point) = (place.next()?, place.next()?);
        let mut device = device.split(' ');
        let (kind, _source, options) = (device.next()?, device.next()?, device.next()?);
        Some(Mount { id, parent, root, point, kind, options })
    }

    /// Which part of the file system is mounted.
    pub(super) fn root(&self) -> PathBuf {
        unescape(self.root)
    }

    /// Where it is mounted.
    pub(super) fn point(&self) -> PathBuf {
        unescape(self.point)
    }

    /// Whether the superblock has this option.
    pub(super) fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|each| each == option)
    }

    fn is_cgroup(&self) -> bool {
        matches!(self.kind, "cgroup" | "cgroup2")
    }

    /// Whether another mount lies over this one or over the way to it.
    fn is_hidden(&self, all: &[Mount<'_>]) -> bool {
        let covered =
            all.iter().any(|over| over.parent == self.id && over.id != self.id && over.point == self.point);
        covered || self.is_beneath(all, all.len())
    }

    // `depth` bounds the climb, whatever the ids say.
    fn is_beneath(&self, all: &[Mount<'_>], depth: usize) -> bool {
        let blocks = |over: &Mount<'_>| {
            over.parent == self.parent
                && over.id != self.id
                && over.point != self.point
                && Path::new(self.point).starts_with(over.point)
        };
        let above = all.iter().find(|mount| mount.id == self.parent && mount.id != self.id);
        all.iter().any(blocks) || (depth > 0 && above.is_some_and(|mount| mount.is_beneath(all, depth - 1)))
    }
}

/// The cgroup file systems that can be reached through the root directory, in the order of the file.
pub(super) fn cgroups(mountinfo: &str) -> Vec<Mount<'_>> {
    let mut mounts: Vec<_> = mountinfo.lines().filter_map(Mount::parse).collect();
    let points: Vec<&str> =
        mounts.iter().filter(|mount| mount.is_cgroup()).map(|mount| mount.point).collect();
    mounts.retain(|mount| points.iter().any(|point| Path::new(point).starts_with(mount.point)));
    mounts.iter().filter(|mount| mount.is_cgroup() && !mount.is_hidden(&mounts)).copied().collect()
}

/// Undoes `\040` and its like.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.split_at_checked(3)).flatten();
        let escaped = octal.and_then(|(digits, after)| Some((octal_byte(digits)?, after)));
        let (byte, after) = escaped.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (text, path) in [
            ("/a", "/a"),
            (r"/a\040b", "/a b"),
            (r"/a\134b\012", "/a\\b\n"),
            (r"/end\04", r"/end\04"),
            (r"\9x9/", r"\9x9/"),
        ] {
            assert_eq!(unescape(text), Path::new(path), "{text}");
        }
    }

    #[test]
    fn a_covered_mount_is_not_found() {
        let under = "30 1 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     31 30 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(cgroups(under).len(), 1);
        let over = format!("{under}40 30 0:38 / /sys/fs/cgroup rw shared:1 - cgroup2 cgroup2 rw\n");
        let found: Vec<_> = cgroups(&over).iter().map(|mount| mount.kind).collect();
        assert_eq!(found, ["cgroup2"], "the older tree lies below the new mount");
        let stacked = format!("{under}40 31 0:38 / /sys/fs/cgroup/cpu rw - tmpfs tmpfs rw\n");
        assert_eq!(cgroups(&stacked), [], "something else is mounted on it");
    }

    #[test]
    fn odd_lines_are_skipped() {
        assert_eq!(cgroups("\nx\n1 2 3 - cgroup\n1 1 0:1 / / rw - cgroup2 c rw").len(), 1);
    }
}
