//! Paths and nodes.

use core::ffi::CStr;

use super::arch::number;
use super::calls::{
    AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Answer, EMPTY, Errno, Fd, HERE, address, address_mut, call,
    descriptor, done, text,
};

/// `open` flags.
pub mod open {
    pub const WRITE: usize = 1;
    pub const READ_WRITE: usize = 2;
    pub const CREATE: usize = 0o100;
    pub const EXCLUSIVE: usize = 0o200;
    pub const NO_TERMINAL: usize = 0o400;
    pub const NONBLOCK: usize = 0o4000;
    pub const DIRECTORY: usize = 0o200000;
    pub const NOFOLLOW: usize = 0o400000;
    pub const CLOEXEC: usize = 0o2000000;
    pub const PATH: usize = 0o10000000;
}

/// `openat2` resolution rules.
pub mod resolve {
    pub const NO_XDEV: u64 = 0x01;
    pub const NO_MAGICLINKS: u64 = 0x02;
    pub const NO_SYMLINKS: u64 = 0x04;
    pub const BENEATH: u64 = 0x08;
    pub const IN_ROOT: u64 = 0x10;
}

/// Opens a path by rules about its resolution.
pub fn openat2(directory: i32, path: &CStr, flags: usize, mode: u64, rules: u64) -> Answer<Fd> {
    // The kernel gives up on `..` when anything on the machine is renamed or mounted meanwhile.
    const ATTEMPTS: usize = 64;
    let how = [(flags | open::CLOEXEC) as u64, mode, rules];
    let arguments = [directory as usize, text(path), address(&how), size_of_val(&how), 0, 0];
    let again = |answer: &Answer<Fd>| !matches!(answer, Err(Errno::AGAIN));
    let mut answers = (0..ATTEMPTS).map(|_| descriptor(call(number::OPENAT2, arguments)));
    answers.find(again).unwrap_or(Err(Errno::AGAIN))
}

/// Opens a path.
pub fn openat(directory: i32, path: &CStr, flags: usize, mode: u32) -> Answer<Fd> {
    let flags = flags | open::CLOEXEC;
    descriptor(call(number::OPENAT, [directory as usize, text(path), flags, mode as usize, 0, 0]))
}

/// Makes a directory.
pub fn mkdirat(directory: &Fd, name: &CStr, mode: u32) -> Answer<()> {
    done(call(number::MKDIRAT, [directory.0 as usize, text(name), mode as usize, 0, 0, 0]))
}

/// Makes a node.
pub fn mknodat(directory: &Fd, name: &CStr, mode: u32, device: u64) -> Answer<()> {
    done(call(number::MKNODAT, [directory.0 as usize, text(name), mode as usize, device as usize, 0, 0]))
}

/// Makes a symbolic link.
pub fn symlinkat(to: &CStr, directory: &Fd, name: &CStr) -> Answer<()> {
    done(call(number::SYMLINKAT, [text(to), directory.0 as usize, text(name), 0, 0, 0]))
}

/// Reads a symbolic link.
pub fn readlinkat(directory: &Fd, name: &CStr, buffer: &mut [u8]) -> Answer<usize> {
    call(number::READLINKAT, [directory.0 as usize, text(name), address_mut(buffer), buffer.len(), 0, 0])
}

/// Removes a name that is not a directory.
pub fn unlinkat(directory: &Fd, name: &CStr) -> Answer<()> {
    done(call(number::UNLINKAT, [directory.0 as usize, text(name), 0, 0, 0, 0]))
}

/// Sets owner and group of a name, not following a link; without a name, of what is open.
pub fn chownat(directory: &Fd, name: &CStr, uid: u32, gid: u32) -> Answer<()> {
    let (ids, flags) = ((uid as usize, gid as usize), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    done(call(number::FCHOWNAT, [directory.0 as usize, text(name), ids.0, ids.1, flags, 0]))
}

/// Sets the owner of what an open descriptor leads to; the group stays.
pub fn set_owner(fd: &Fd, uid: u32) -> Answer<()> {
    const SAME: usize = u32::MAX as usize;
    done(call(number::FCHOWN, [fd.0 as usize, uid as usize, SAME, 0, 0, 0]))
}

/// Sets an extended attribute.
pub fn set_attribute(fd: &Fd, name: &CStr, value: &[u8]) -> Answer<()> {
    let arguments = [fd.0 as usize, text(name), address(value), value.len(), 0, 0];
    done(call(number::FSETXATTR, arguments))
}

/// An extended attribute, in `buffer`.
pub fn attribute(fd: &Fd, name: &CStr, buffer: &mut [u8]) -> Answer<usize> {
    call(number::FGETXATTR, [fd.0 as usize, text(name), address_mut(buffer), buffer.len(), 0, 0])
}

/// The names of the extended attributes, each with a NUL behind it, in `buffer`.
pub fn list_attributes(fd: &Fd, buffer: &mut [u8]) -> Answer<usize> {
    call(number::FLISTXATTR, [fd.0 as usize, address_mut(buffer), buffer.len(), 0, 0, 0])
}

/// Sets the permission bits of what is open. There is no way to set them by name: a name may lead elsewhere by then.
pub fn set_mode(fd: &Fd, mode: u32) -> Answer<()> {
    done(call(number::FCHMOD, [fd.0 as usize, mode as usize, 0, 0, 0, 0]))
}

/// What a node is.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Status {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    spare: u16,
    pub inode: u64,
    pub size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    pub device_major: u32,
    pub device_minor: u32,
    /// Major and minor number of the device that holds it.
    pub holder: [u32; 2],
    mount_id: u64,
    rest: [u64; 13],
}

/// File types in [`Status::mode`].
pub mod file_type {
    pub const MASK: u16 = 0o170000;
    pub const DIRECTORY: u16 = 0o040000;
    pub const REGULAR: u16 = 0o100000;
    pub const CHARACTER: u16 = 0o020000;
    pub const BLOCK: u16 = 0o060000;
    pub const FIFO: u16 = 0o010000;
    pub const LINK: u16 = 0o120000;
}

impl Status {
    /// Whether both are of the same node.
    pub fn is_same(&self, other: &Status) -> bool {
        (self.inode, self.holder) == (other.inode, other.holder)
    }

    /// The file type bits.
    pub fn file_type(&self) -> u16 {
        self.mode & file_type::MASK
    }
}

/// What an open descriptor leads to.
pub fn status(fd: &Fd) -> Answer<Status> {
    status_at(fd, EMPTY)
}

/// What a name in a directory is, not following a link.
pub fn status_at(directory: &Fd, name: &CStr) -> Answer<Status> {
    statx(directory.0, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
}

/// What a path leads to.
pub fn status_of(path: &CStr) -> Answer<Status> {
    statx(HERE, path, 0)
}

/// The number of the mount that holds an open descriptor.
pub fn mount_id(fd: &Fd) -> Answer<u64> {
    mount_id_at(fd, EMPTY)
}

/// The number of the mount that a name in a directory leads to, not following a link.
pub fn mount_id_at(directory: &Fd, name: &CStr) -> Answer<u64> {
    const MOUNT_ID: u32 = 0x1000;
    let flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    let status = statx_for(directory.0, name, flags, MOUNT_ID as usize)?;
    // KERNEL(5.8): older ones don't say.
    if status.mask & MOUNT_ID != 0 { Ok(status.mount_id) } else { Err(Errno::NOSYS) }
}

fn statx(directory: i32, path: &CStr, flags: usize) -> Answer<Status> {
    const BASIC: usize = 0x7ff;
    statx_for(directory, path, flags, BASIC)
}

fn statx_for(directory: i32, path: &CStr, flags: usize, what: usize) -> Answer<Status> {
    let mut status = Status::default();
    call(number::STATX, [directory as usize, text(path), flags, what, address_mut(&mut status), 0])?;
    Ok(status)
}

/// The magic number of the file system that holds an open descriptor.
pub fn filesystem_magic(fd: &Fd) -> Answer<u64> {
    let [magic, ..] = filesystem(fd)?;
    Ok(magic)
}

/// What the kernel says about the file system that holds an open descriptor: the words of a `struct statfs`.
pub(super) fn filesystem(fd: &Fd) -> Answer<[u64; 16]> {
    let mut words = [0; 16];
    call(number::FSTATFS, [fd.0 as usize, address_mut(&mut words), 0, 0, 0, 0])?;
    Ok(words)
}

/// The magic number of devpts.
pub const PTS_MAGIC: u64 = 0x1cd1;

/// Whether the effective user may execute what the path leads to.
pub fn may_execute(path: &CStr) -> Answer<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    match done(call(number::FACCESSAT2, [HERE as usize, text(path), X_OK, AT_EACCESS, 0, 0])) {
        // The execution will tell.
        Err(errno) if errno.is_missing_call() => Ok(()),
        answer => answer,
    }
}

/// Changes the working directory.
pub fn chdir(path: &CStr) -> Answer<()> {
    done(call(number::CHDIR, [text(path), 0, 0, 0, 0, 0]))
}

/// Changes the working directory to an open one.
pub fn fchdir(directory: &Fd) -> Answer<()> {
    done(call(number::FCHDIR, [directory.0 as usize, 0, 0, 0, 0, 0]))
}

/// The path of the working directory, in `buffer`.
pub fn getcwd(buffer: &mut [u8]) -> Answer<usize> {
    call(number::GETCWD, [address_mut(buffer), buffer.len(), 0, 0, 0, 0])
}
