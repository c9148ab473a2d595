//! Mounts, by descriptor.

use core::ffi::CStr;

use super::arch::number;
use super::calls::{
    AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Answer, EMPTY, Errno, Fd, HERE, address, call, descriptor, done, text,
};
use super::files::{fchdir, open, openat, openat2, resolve};
use super::old_mounts;

/// Makes the open directory the root of the mount namespace, and puts the old root on top of it.
pub fn pivot_root_here() -> Answer<()> {
    done(call(number::PIVOT_ROOT, [text(c"."), text(c"."), 0, 0, 0, 0]))
}

/// Detaches what is mounted on the working directory.
pub fn detach_here() -> Answer<()> {
    const MNT_DETACH: usize = 2;
    done(call(number::UMOUNT2, [text(c"."), MNT_DETACH, 0, 0, 0, 0]))
}

/// Changes the root directory of this process to its working directory.
pub fn chroot_here() -> Answer<()> {
    done(call(number::CHROOT, [text(c"."), 0, 0, 0, 0, 0]))
}

/// Changes the propagation of the mount at `/`.
pub fn set_root_propagation(flags: usize) -> Answer<()> {
    done(call(number::MOUNT, [0, text(c"/"), 0, flags, 0, 0]))
}

/// Mount flags for propagation.
pub mod propagation {
    pub const RECURSIVE: usize = 1 << 14;
    pub const UNBINDABLE: usize = 1 << 17;
    pub const PRIVATE: usize = 1 << 18;
    pub const SLAVE: usize = 1 << 19;
    pub const SHARED: usize = 1 << 20;
}

/// The root of what is mounted on an open directory, the uppermost if there are several. No name is looked up: above a
/// root lies that root itself, and whoever is led there is led on to what covers it.
pub fn uppermost(directory: &Fd) -> Answer<Fd> {
    match openat2(directory.0, c"..", open::PATH | open::DIRECTORY, 0, resolve::IN_ROOT) {
        Err(errno) if errno.is_missing_call() || errno == Errno::AGAIN => uppermost_by_chroot(directory),
        answer => answer,
    }
}

/// The same with the directory as the root of this process, for a moment.
#[cold]
fn uppermost_by_chroot(directory: &Fd) -> Answer<Fd> {
    let root = openat(HERE, c"/", open::PATH | open::DIRECTORY, 0)?;
    fchdir(directory)?;
    chroot_here()?;
    let found = openat(HERE, c"/..", open::PATH | open::DIRECTORY, 0);
    fchdir(&root)?;
    chroot_here()?;
    found
}

const AT_RECURSIVE: usize = 0x8000;

/// Copies the mount that holds an open descriptor, from there down, as a detached mount.
pub fn clone_tree(fd: &Fd, recursive: bool) -> Answer<Fd> {
    clone_tree_at(fd.0, EMPTY, recursive)
}

/// Copies the mount that holds a path, from there down, as a detached mount. A link at the path is not followed.
pub fn clone_tree_at(directory: i32, path: &CStr, recursive: bool) -> Answer<Fd> {
    const CLONE: usize = 1;
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    let flags = CLONE | open::CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | recursive;
    descriptor(call(number::OPEN_TREE, [directory as usize, text(path), flags, 0, 0, 0]))
}

/// The same, read-only from the start. KERNEL(6.15)
pub fn clone_tree_readonly(fd: &Fd) -> Answer<Fd> {
    const CLONE: usize = 1;
    let flags = CLONE | open::CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    let attributes = [ATTRIBUTE_READ_ONLY, 0, 0, 0];
    let size = size_of_val(&attributes);
    descriptor(call(
        number::OPEN_TREE_ATTR,
        [fd.0 as usize, text(EMPTY), flags, address(&attributes), size, 0],
    ))
}

/// Attaches a detached mount, or moves an attached one, onto an open descriptor.
pub fn move_mount(mount: &Fd, onto: &Fd) -> Answer<()> {
    move_mount_at(mount, onto.0, EMPTY)
}

/// Attaches a mount on a path.
pub fn move_mount_at(mount: &Fd, directory: i32, path: &CStr) -> Answer<()> {
    const FROM_EMPTY_PATH: usize = 0x04;
    const TO_EMPTY_PATH: usize = 0x40;
    let flags = FROM_EMPTY_PATH | TO_EMPTY_PATH;
    done(call(number::MOVE_MOUNT, [mount.0 as usize, text(EMPTY), directory as usize, text(path), flags, 0]))
}

/// A change of a mount: attributes to set and to clear, and its propagation (0 to leave it).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MountChange {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
}

/// Changes a mount, and the mounts below it if that is wanted.
pub fn change_mount(mount: &Fd, change: MountChange, recursive: bool) -> Answer<()> {
    let attributes = [change.set, change.clear, change.propagation, 0];
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    let (flags, size) = (AT_EMPTY_PATH | recursive, size_of_val(&attributes));
    let answer =
        call(number::MOUNT_SETATTR, [mount.0 as usize, text(EMPTY), flags, address(&attributes), size, 0]);
    match done(answer) {
        Err(errno) if errno.is_missing_call() => old_mounts::change(mount, change, recursive != 0, errno),
        answer => answer,
    }
}

/// The mount attribute of read-only mounts.
pub const ATTRIBUTE_READ_ONLY: u64 = 1;

/// Mounts a new instance of a file system on the working directory.
pub fn mount_here(source: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Answer<()> {
    done(call(number::MOUNT, [text(source), text(c"."), text(fstype), flags as usize, text(data), 0]))
}

/// Flags of `mount`.
pub mod mount_flag {
    pub const READ_ONLY: u64 = 1;
    pub const NO_SUID: u64 = 2;
    pub const NO_DEV: u64 = 4;
    pub const NO_EXEC: u64 = 8;
}
