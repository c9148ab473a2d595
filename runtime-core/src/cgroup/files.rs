//! Files of cgroups: small, and always reached from a directory's descriptor.

use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, RawDir, fstat, openat};
use rustix::io::{retry_on_intr, write as write_some};

use crate::sys::text;

type IoResult<T> = rustix::io::Result<T>;

/// Opens a directory to list it and to reach what is in it.
pub(super) fn open_directory(at: impl AsFd, name: &OsStr) -> IoResult<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Names a directory, to reach what is in it and to show it to the kernel.
pub(super) fn open_place(path: &Path) -> IoResult<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty())
}

/// The whole text of a file.
pub(super) fn read(at: impl AsFd, name: &OsStr) -> IoResult<String> {
    openat(at, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).and_then(text::whole)
}

/// The text of a file whose whole content is made at once, and fits into a page: one read has it all.
pub(super) fn read_short(at: impl AsFd, name: &OsStr) -> IoResult<String> {
    openat(at, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).and_then(text::short)
}

/// Writes each line by itself, as these files take them.
pub(super) fn write_lines(at: impl AsFd, name: &str, text: &str) -> IoResult<()> {
    let file = openat(at, name, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        retry_on_intr(|| write_some(&file, line.as_bytes()))?;
    }
    Ok(())
}

/// Reads a number from a line such as `oom_kill 3`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The names of the directories in a directory.
pub(super) fn subdirectories(directory: &OwnedFd) -> IoResult<Vec<CString>> {
    // The kernel counts each cgroup below as a link, so that a leaf need not be listed.
    if fstat(directory)?.st_nlink == 2 {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_lines() {
        let text = "low 0\noom 1\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), Some(1));
        assert_eq!(keyed(text, "max"), None);
        assert_eq!(keyed("oom_kill many\n", "oom_kill"), None);
    }
}
