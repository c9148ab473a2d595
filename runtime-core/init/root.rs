//! The root file system: held by a descriptor from the start, made `/` at the end.

use core::ffi::CStr;

use crate::fault::{Of, Outcome};
use crate::mounts;
use crate::paths::Root;
use crate::step::Call;
use crate::sys::{self, Fd, HERE, old_mounts, open};

/// Mounts the root file system onto itself: only a mount can be pivoted to.
pub fn mount(path: &CStr) -> Outcome<Root> {
    let directory = open_directory(path)?;
    mounts::bind_directory(&directory, &directory, true).map(Root::new)
}

/// Takes the root file system that the parent has opened, a mount that was attached nowhere. It lies over the host's until
/// the pivot; whoever has the host's as his root looks paths up below it.
pub fn attach(lent: Fd) -> Outcome<Root> {
    sys::move_mount_at(&lent, HERE, c"/").of(Call::MoveMount)?;
    Ok(Root::new(lent))
}

pub fn hold(path: &CStr) -> Outcome<Root> {
    open_directory(path).map(Root::new)
}

fn open_directory(path: &CStr) -> Outcome<Fd> {
    sys::openat(HERE, path, open::PATH | open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)
}

/// Pivots with the old root on top of the new one, so that no directory for it is needed, and lets go of it. The old
/// root's mounts are slaves: the host doesn't see them go. The working directory is nowhere then, until the user gets its
/// own.
pub fn pivot(root: &Root) -> Outcome {
    sys::fchdir(root.directory()).of(Call::Chdir)?;
    sys::pivot_root_here().of(Call::PivotRoot)?;
    sys::detach_here().of(Call::Unmount)
}

/// For hosts that run from an initramfs, which can't be pivoted away: the root is moved over `/`.
pub fn move_over(root: &Root) -> Outcome {
    match sys::move_mount_at(root.directory(), HERE, c"/") {
        Err(errno) if errno.is_missing_call() => old_mounts::move_over_root(root.directory()),
        answer => answer,
    }
    .of(Call::MoveMount)?;
    change(root)
}

pub fn change(root: &Root) -> Outcome {
    sys::fchdir(root.directory()).of(Call::Chdir)?;
    sys::chroot_here().of(Call::Chroot)?;
    sys::chdir(c"/").of(Call::Chdir)
}
