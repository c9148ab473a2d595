//! What the container must not write, and what it must not see.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::mounts;
use crate::paths::Root;
use crate::step::{Call, Resolve};
use crate::sys::{
    self, ATTRIBUTE_READ_ONLY, Answer, Errno, Fd, HERE, MountChange, Status, file_type, mount_flag,
    old_mounts, open,
};
use crate::wire::List;

const NULL: &CStr = c"/dev/null";
const READ_ONLY: MountChange = MountChange { set: ATTRIBUTE_READ_ONLY, clear: 0, propagation: 0 };

pub fn set_attributes(root: &Root, path: &CStr, set: u64, clear: u64, recursive: bool) -> Outcome {
    let change = MountChange { set, clear, propagation: 0 };
    if path == c"/" {
        return sys::change_mount(root.directory(), change, recursive).of(Call::MountSetattr);
    }
    let mount = root.open(path, open::PATH, Resolve::InRoot)?;
    sys::change_mount(&mount, change, recursive).of(Call::MountSetattr)
}

/// Makes each path a mount of its own, read-only with what is below, its other attributes as they were.
pub fn protect<'a>(root: &Root, paths: List<'a, &'a CStr>) -> Outcome {
    each_existing(root, paths, |path, target| {
        match readonly_tree(target).and_then(|tree| sys::move_mount(&tree, target)) {
            Err(errno) if errno.is_missing_call() => protect_afterwards(root, path, target),
            answer => answer.of(Call::MoveMount),
        }
    })
}

/// Without calls for mounts that aren't attached yet: first attached, then made read-only, which mounts below it aren't.
#[cold]
fn protect_afterwards(root: &Root, path: &CStr, target: &Fd) -> Outcome {
    let mount = match mounts::bind(target, target, true)? {
        Some(mount) => mount,
        None => mounts::bound(root, target, target, path, Resolve::InRoot)?,
    };
    sys::change_mount(&mount, READ_ONLY, false).of(Call::MountSetattr)
}

fn readonly_tree(target: &Fd) -> Answer<Fd> {
    // KERNEL(6.15): two calls in one; where it is missing, or a sandbox around us forbids it, it is two.
    sys::clone_tree_readonly(target).or_else(|_| {
        let tree = sys::clone_tree(target, true)?;
        sys::change_mount(&tree, READ_ONLY, true)?;
        Ok(tree)
    })
}

/// Covers each path with something that is ours: the host's null device or an empty directory. Nothing from inside the
/// root serves as a cover, since it could be exchanged (CVE-2025-31133). There is one cover of a kind, attached many
/// times: hosts with thousands of masked directories pay for one file system only.
pub fn mask<'a>(root: &Root, paths: List<'a, &'a CStr>, parameters: &CStr) -> Outcome {
    let (mut null, mut empty) = (None, None);
    each_existing(root, paths, |_, target| {
        let status = sys::status(target).of(Call::Stat)?;
        let is_directory = status.file_type() == file_type::DIRECTORY;
        let cover = if is_directory { &mut empty } else { &mut null };
        match cover {
            Some(cover) => return mounts::bind(cover, target, false).map(|_| ()),
            None if is_directory => *cover = Some(mount_empty(target, &status, parameters)?),
            None => *cover = Some(mount_null(target)?),
        }
        Ok(())
    })
}

/// A missing path is skipped: config.json lists what some kernels have.
fn each_existing<'a>(
    root: &Root,
    paths: List<'a, &'a CStr>,
    mut act: impl FnMut(&CStr, &Fd) -> Outcome,
) -> Outcome {
    for (index, path) in paths.iter().enumerate() {
        match root.try_open(path, open::PATH, Resolve::InRoot) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            answer => answer.of(Call::Open).and_then(|target| act(path, &target)),
        }
        .map_err(|fault: Fault| fault.item(index))?;
    }
    Ok(())
}

/// Covers with the host's null device; what lies there then.
fn mount_null(target: &Fd) -> Outcome<Fd> {
    match sys::clone_tree_at(HERE, NULL, false) {
        Ok(tree) => {
            check_null(&tree)?;
            match sys::move_mount(&tree, target) {
                Err(errno) if errno.is_missing_call() => bind_null(target),
                answer => answer.of(Call::MoveMount).map(|()| tree),
            }
        }
        Err(errno) if errno.is_missing_call() => bind_null(target),
        Err(errno) => Err(Fault::new(Call::OpenTree, errno)),
    }
}

#[cold]
fn bind_null(target: &Fd) -> Outcome<Fd> {
    let node = sys::openat(HERE, NULL, open::PATH | open::NOFOLLOW, 0).of(Call::Open)?;
    check_null(&node)?;
    old_mounts::bind(&node, target, false).of(Call::Mount).map(|()| node)
}

fn check_null(cover: &Fd) -> Outcome {
    let status = sys::status(cover).of(Call::Stat)?;
    let is_null =
        status.file_type() == file_type::CHARACTER && (status.device_major, status.device_minor) == (1, 3);
    if is_null { Ok(()) } else { Err(Fault::new(Call::RightNode, Errno::INVAL)) }
}

fn mount_empty(target: &Fd, status: &Status, parameters: &CStr) -> Outcome<Fd> {
    let flags = mount_flag::READ_ONLY | mount_flag::NO_SUID | mount_flag::NO_DEV | mount_flag::NO_EXEC;
    sys::fchdir(target).of(Call::Chdir)?;
    sys::mount_here(c"tmpfs", c"tmpfs", flags, parameters).of(Call::Mount)?;
    mounts::mounted_on(target, status)
}
