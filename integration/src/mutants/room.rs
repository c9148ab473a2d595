//! Where mutants run: they may do to the host what the product does not.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::workspace;

/// The devices of the host that tests need, with their numbers.
const DEVICES: [(&str, u32, u32); 8] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("kmsg", 1, 11),
    ("tty", 5, 0),
    ("fuse", 10, 229),
];

/// Gives this process, and all that it starts, a root that is read-only but for the places that tests and cargo write, and
/// device nodes of its own.
///
/// # Errors
/// It takes root.
pub(super) fn enter() -> io::Result<()> {
    // SAFETY: the program has one thread, and no descriptor is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let mut writable = vec![std::env::temp_dir(), workspace(), crate::runtime::binaries()];
    writable
        .extend(["CARGO_HOME", "CARGO_TARGET_DIR"].iter().filter_map(std::env::var_os).map(PathBuf::from));
    writable.extend(std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    for place in writable.iter().filter(|place| place.is_dir()) {
        mount_bind_recursive(place, place)?;
    }
    mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "")?;
    own_devices()
}

fn own_devices() -> io::Result<()> {
    mount("none", "/mnt", "tmpfs", MountFlags::NOSUID, Some(c"mode=755"))?;
    for (name, major, minor) in DEVICES {
        let (place, mode) = (Path::new("/mnt").join(name), Mode::from_raw_mode(0o666));
        mknodat(CWD, &place, FileType::CharacterDevice, mode, makedev(major, minor))?;
        rustix::fs::chmod(&place, mode)?;
    }
    for name in ["pts", "shm", "mqueue"].iter().filter(|name| Path::new("/dev").join(name).is_dir()) {
        std::fs::create_dir(Path::new("/mnt").join(name))?;
        mount_bind_recursive(Path::new("/dev").join(name), Path::new("/mnt").join(name))?;
    }
    symlink("pts/ptmx", "/mnt/ptmx")?;
    symlink("/proc/self/fd", "/mnt/fd")?;
    mount_bind_recursive("/mnt", "/dev")?;
    Ok(rustix::mount::unmount("/mnt", rustix::mount::UnmountFlags::DETACH)?)
}
