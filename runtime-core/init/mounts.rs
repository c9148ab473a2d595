//! Mounts: on open descriptors. No path is resolved between the check and the mount.

use core::ffi::CStr;

use crate::copy_up;
use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Create, Propagation, Resolve, Step, Target};
use crate::sys::{
    self, Errno, Fd, MountChange, Status, file_type, mount_flag as bit, old_mounts, open, propagation,
};
use crate::wire::Borrowed;

/// Permission bits of mount points that had to be made.
const MADE_MODE: u32 = 0o755;

pub fn set_propagation(to: Propagation) -> Outcome {
    let recursive = if is_recursive(to) { propagation::RECURSIVE } else { 0 };
    sys::set_root_propagation(flag(to) | recursive).of(Call::Mount)
}

fn is_recursive(change: Propagation) -> bool {
    change >= Propagation::RecursiveShared
}

fn flag(change: Propagation) -> usize {
    match change {
        Propagation::Shared | Propagation::RecursiveShared => propagation::SHARED,
        Propagation::Slave | Propagation::RecursiveSlave => propagation::SLAVE,
        Propagation::Private | Propagation::RecursivePrivate => propagation::PRIVATE,
        Propagation::Unbindable | Propagation::RecursiveUnbindable => propagation::UNBINDABLE,
    }
}

pub fn mount(root: &Root, step: Step<Borrowed<'_>>) -> Outcome {
    let Step::Mount { fstype, source, data, inherit_mode, copy_up, flags, propagation, at, instead } = step
    else {
        return Err(Fault::malformed());
    };
    let Place { target: covered, made } = open_target(root, &at, at.create)?;
    // The mount point is the working directory: nothing is looked up between the check and the mount.
    sys::fchdir(&covered).of(Call::Chdir)?;
    match sys::mount_here(source, fstype, flags, data) {
        Err(Errno::PERM | Errno::BUSY) if !instead.is_empty() => attach_instead(instead, &covered, flags)?,
        answer => answer.of(Call::Mount)?,
    }
    // A directory that was made for the mount has no permissions to inherit.
    let inherit_mode = inherit_mode && !made;
    if !inherit_mode && !copy_up && propagation.is_empty() {
        return Ok(());
    }
    let status = sys::status(&covered).of(Call::Stat)?;
    let mounted = mounted_on(&covered, &status)?;
    let mounted = sys::openat(mounted.raw(), c".", open::DIRECTORY, 0).of(Call::Open)?;
    if inherit_mode {
        sys::set_mode(&mounted, u32::from(status.mode) & 0o7777).of(Call::Chmod)?;
    }
    if copy_up {
        copy_up::copy(&covered, &mounted)?;
    }
    propagation.iter().try_for_each(|change| change_propagation(&mounted, change))
}

/// What was just mounted on an open directory, which is `covered`. If that was removed meanwhile, by whoever shares it,
/// the mount is gone with it.
pub fn mounted_on(directory: &Fd, covered: &Status) -> Outcome<Fd> {
    let mounted = sys::uppermost(directory).of(Call::Open)?;
    if sys::status(&mounted).of(Call::Stat)?.is_same(covered) {
        return Err(Fault::new(Call::RightMount, Errno::NOENT));
    }
    Ok(mounted)
}

/// A part of the host's tree does what a file system of the container's own would have done, and may do no more.
fn attach_instead(path: &CStr, target: &Fd, flags: u64) -> Outcome {
    let source = sys::openat(sys::HERE, path, open::PATH | open::DIRECTORY, 0).of(Call::Open)?;
    let mounted = bind_directory(&source, target, false)?;
    // As attributes they are the same numbers.
    let set = flags & (bit::READ_ONLY | bit::NO_SUID | bit::NO_DEV | bit::NO_EXEC);
    sys::change_mount(&mounted, MountChange { set, clear: 0, propagation: 0 }, false).of(Call::MountSetattr)
}

fn change_propagation(mount: &Fd, to: Propagation) -> Outcome {
    let change = MountChange { set: 0, clear: 0, propagation: flag(to) as u64 };
    sys::change_mount(mount, change, is_recursive(to)).of(Call::MountSetattr)
}

/// Attaches what the parent opened. What it is, is known only now: the mount point is made like it.
pub fn attach(root: &Root, loan: Fd, at: Target<Borrowed<'_>>) -> Outcome {
    let Place { target, .. } = open_target(root, &at, like(&loan, at.create)?)?;
    match sys::move_mount(&loan, &target) {
        // Engines tell users what to do about a directory and a file that were mixed up; `mount` says so, this call not.
        Err(Errno::INVAL) if is_directory(&loan)? != is_directory(&target)? => {
            Err(Fault::new(Call::MoveMount, Errno::NOTDIR))
        }
        answer => answer.of(Call::MoveMount),
    }
}

/// Binds what an open descriptor leads to onto another one: the bound mount, where the kernel has descriptors for it.
pub fn bind(source: &Fd, onto: &Fd, recursive: bool) -> Outcome<Option<Fd>> {
    match sys::clone_tree(source, recursive) {
        Ok(tree) => match sys::move_mount(&tree, onto) {
            Ok(()) => return Ok(Some(tree)),
            Err(errno) if errno.is_missing_call() => {}
            answer => answer.of(Call::MoveMount)?,
        },
        Err(errno) if errno.is_missing_call() => {}
        Err(errno) => return Err(Fault::new(Call::OpenTree, errno)),
    }
    old_mounts::bind(source, onto, recursive).of(Call::Mount).map(|()| None)
}

/// Binds what the parent opened, on the host: looked up once more, since only this mount namespace's mounts can be bound
/// in it, and checked to be the same.
pub fn attach_bound(root: &Root, loan: Fd, step: Step<Borrowed<'_>>) -> Outcome {
    let Step::BindMount { recursive, set, clear, propagation, at } = step else {
        return Err(Fault::malformed());
    };
    let source = old_mounts::reopen(&loan).of(Call::Open)?;
    let Place { target, .. } = open_target(root, &at, like(&source, at.create)?)?;
    old_mounts::bind(&source, &target, recursive).of(Call::Mount)?;
    let mounted = bound(root, &source, &target, at.path, at.resolve)?;
    propagation.iter().try_for_each(|change| change_propagation(&mounted, change))?;
    sys::change_mount(&mounted, MountChange { set, clear, propagation: 0 }, false).of(Call::MountSetattr)
}

/// The same for a directory; the bound mount in any case.
pub fn bind_directory(source: &Fd, onto: &Fd, recursive: bool) -> Outcome<Fd> {
    match bind(source, onto, recursive)? {
        Some(tree) => Ok(tree),
        None => sys::uppermost(onto).of(Call::Open),
    }
}

/// What was just bound to a target by `mount` alone. From a file nothing leads to what covers it: its path is looked up
/// once more, and has to lead to the same file in another mount.
#[cold]
pub fn bound(root: &Root, source: &Fd, target: &Fd, path: &CStr, how: Resolve) -> Outcome<Fd> {
    if is_directory(target)? {
        return sys::uppermost(target).of(Call::Open);
    }
    let found = root.open(path, open::PATH, how)?;
    let is_same = sys::status(&found).of(Call::Stat)?.is_same(&sys::status(source).of(Call::Stat)?);
    let covers = sys::mount_id(&found).of(Call::Stat)? != sys::mount_id(target).of(Call::Stat)?;
    if is_same && covers { Ok(found) } else { Err(Fault::new(Call::RightMount, Errno::NOENT)) }
}

fn like(source: &Fd, create: Create) -> Outcome<Create> {
    Ok(match create {
        Create::LikeSource if is_directory(source)? => Create::Directory,
        Create::LikeSource => Create::File,
        asked => asked,
    })
}

fn is_directory(fd: &Fd) -> Outcome<bool> {
    Ok(sys::status(fd).of(Call::Stat)?.file_type() == file_type::DIRECTORY)
}

/// Where something is mounted, and whether that had to be made.
struct Place {
    target: Fd,
    made: bool,
}

fn open_target(root: &Root, at: &Target<Borrowed<'_>>, create: Create) -> Outcome<Place> {
    let make = || root.create(at.path, create, MADE_MODE, at.resolve);
    let found = if at.fresh { Err(Errno::NOENT) } else { root.try_open(at.path, open::PATH, at.resolve) };
    let made = matches!(found, Err(Errno::NOENT));
    let target = if made { make()? } else { found.of(Call::Open)? };
    // A symlink may have led onto a procfs, one even that was put there while the rest was made: a mount there could swallow
    // label and parameter writes (CVE-2019-16884).
    let may_be_redirected = at.resolve == Resolve::InRoot && !at.on_proc;
    if may_be_redirected && sys::filesystem_magic(&target).of(Call::Stat)? == sys::PROC_MAGIC {
        return Err(Fault::new(Call::NotOnProc, Errno::PERM));
    }
    Ok(Place { target, made })
}
