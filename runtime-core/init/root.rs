//! The root file system: held by a descriptor from the start, made `/` at the end.

use core::ffi::CStr;

use crate::fault::{Of, Outcome};
use crate::paths::Root;
use crate::step::Call;
use crate::sys::{self, Fd, HERE, open};

/// Mounts the root file system onto itself: only a mount can be pivoted to.
pub fn mount(path: &CStr) -> Outcome<Root> {
    let directory = open_directory(path)?;
    let tree = sys::clone_tree(&directory, true).of(Call::OpenTree)?;
    sys::move_mount(&tree, &directory).of(Call::MoveMount)?;
    Ok(Root::new(tree))
}

pub fn hold(path: &CStr) -> Outcome<Root> {
    open_directory(path).map(Root::new)
}

fn open_directory(path: &CStr) -> Outcome<Fd> {
    sys::openat(HERE, path, open::PATH | open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)
}

/// Pivots with the old root on top of the new one, so that no directory for it is needed, and lets go of it. The old
/// root's mounts are slaves: the host doesn't see them go.
pub fn pivot(root: &Root) -> Outcome {
    sys::fchdir(root.directory()).of(Call::Chdir)?;
    sys::pivot_root_here().of(Call::PivotRoot)?;
    sys::detach_here().of(Call::Unmount)?;
    sys::chdir(c"/").of(Call::Chdir)
}

/// For hosts that run from an initramfs, which can't be pivoted away: the root is moved over `/`.
pub fn move_over(root: &Root) -> Outcome {
    sys::fchdir(root.directory()).of(Call::Chdir)?;
    sys::move_mount_at(root.directory(), HERE, c"/").of(Call::MoveMount)?;
    change_here()
}

pub fn change(root: &Root) -> Outcome {
    sys::fchdir(root.directory()).of(Call::Chdir)?;
    change_here()
}

fn change_here() -> Outcome {
    sys::chroot_here().of(Call::Chroot)?;
    sys::chdir(c"/").of(Call::Chdir)
}
