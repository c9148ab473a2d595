//! The real procfs, through which labels, parameters and offsets are set.

use core::ffi::CStr;

use super::calls::{Answer, Errno, Fd, HERE};
use super::files::{
    fchdir, file_type, filesystem_magic, mount_id_at, open, openat, openat2, readlinkat, resolve, status,
    status_at,
};

/// The magic number of procfs.
pub const PROC_MAGIC: u64 = 0x9fa0;

/// The inode of a procfs's root, which no other directory of it has.
pub const PROC_ROOT_INODE: u64 = 1;

/// A directory of the host's procfs: `self`, `thread-self` or `sys`.
///
/// Whatever is mounted there, or on the way, is not it: a decoy would swallow what is written, or turn it into a write to
/// something else (CVE-2019-16884, CVE-2025-52881).
pub fn proc_directory(name: &CStr) -> Answer<Fd> {
    let proc = openat(HERE, c"/proc", open::PATH | open::DIRECTORY, 0)?;
    if (filesystem_magic(&proc)?, status(&proc)?.inode) != (PROC_MAGIC, PROC_ROOT_INODE) {
        return Err(Errno::INVAL);
    }
    let (flags, rules) = (open::PATH | open::DIRECTORY, resolve::NO_XDEV | resolve::NO_MAGICLINKS);
    match openat2(proc.0, name, flags, 0, resolve::BENEATH | rules) {
        Err(errno) if errno.is_missing_call() => walk_to(&proc, name),
        answer => answer,
    }
}

/// A directory or the one that a link names.
#[cold]
fn walk_to(proc: &Fd, name: &CStr) -> Answer<Fd> {
    if !is_in_mount(proc, proc, name)? {
        return Err(Errno::XDEV);
    }
    let mut text = [0; 64];
    match readlinkat(proc, name, &mut text[..63]) {
        Err(Errno::INVAL) => walk(proc, name, open::PATH | open::DIRECTORY),
        answer => {
            answer?;
            walk(proc, CStr::from_bytes_until_nul(&text).unwrap_or_default(), open::PATH | open::DIRECTORY)
        }
    }
}

/// Opens a path below a directory of procfs, which neither a link nor a mount may lead away.
pub fn open_in_proc(directory: &Fd, path: &CStr, flags: usize) -> Answer<Fd> {
    let rules = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_SYMLINKS;
    match openat2(directory.0, path, flags, 0, rules) {
        Err(errno) if errno.is_missing_call() => walk(directory, path, flags),
        answer => answer,
    }
}

/// The same, name by name.
#[cold]
fn walk(directory: &Fd, path: &CStr, flags: usize) -> Answer<Fd> {
    let mut names = path.to_bytes().split(|byte| *byte == b'/').peekable();
    let mut above = None;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { open::PATH | open::DIRECTORY } else { flags };
        let here = above.as_ref().unwrap_or(directory);
        above = Some(step(directory, here, name, flags)?);
    }
    above.ok_or(Errno::NOENT)
}

fn step(start: &Fd, here: &Fd, name: &[u8], flags: usize) -> Answer<Fd> {
    let mut text = [0; 256];
    let room = if name.len() < text.len() { text.get_mut(..name.len()) } else { None };
    room.ok_or(Errno::NAMETOOLONG)?.copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    if name == c".." {
        return Err(Errno::XDEV);
    }
    let found = openat(here.0, name, flags | open::NOFOLLOW, 0)?;
    if status(&found)?.file_type() == file_type::LINK {
        return Err(Errno::LOOP);
    }
    if is_in_mount(start, &found, c"")? { Ok(found) } else { Err(Errno::XDEV) }
}

/// A link of procfs that leads to something else, which is opened: `ns/NAME`.
pub fn open_linked(directory: &Fd, above: &CStr, name: &CStr) -> Answer<Fd> {
    let above = open_in_proc(directory, above, open::PATH | open::DIRECTORY)?;
    if is_in_mount(directory, &above, name)? { openat(above.0, name, 0, 0) } else { Err(Errno::XDEV) }
}

/// Makes the directory of this process's descriptors, as links that lead where these lead, the working directory.
pub fn enter_descriptors() -> Answer<()> {
    let myself = proc_directory(c"self")?;
    fchdir(&open_in_proc(&myself, c"fd", open::PATH | open::DIRECTORY)?)
}

/// Whether a name in a directory lies in the same mount as that one. KERNEL(5.8): older ones tell the file system alone.
fn is_in_mount(one: &Fd, directory: &Fd, name: &CStr) -> Answer<bool> {
    match (mount_id_at(one, c""), mount_id_at(directory, name)) {
        (Ok(one), Ok(other)) => Ok(one == other),
        (Err(Errno::NOSYS), Err(Errno::NOSYS)) => {
            Ok(status(one)?.holder == status_at(directory, name)?.holder)
        }
        (one, other) => one.and(other).map(|_| false),
    }
}
