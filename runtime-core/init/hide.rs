//! What the container must not write, and what it must not see.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Resolve};
use crate::sys::{self, ATTRIBUTE_READ_ONLY, Errno, Fd, HERE, MountChange, file_type, mount_flag, open};
use crate::wire::List;

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
    each_existing(root, paths, |_, target| {
        let tree = readonly_tree(target)?;
        sys::move_mount(&tree, target).of(Call::MoveMount)
    })
}

fn readonly_tree(target: &Fd) -> Outcome<Fd> {
    // KERNEL(6.15): two calls in one; where it is missing, or a sandbox around us forbids it, it is two.
    sys::clone_tree_readonly(target).or_else(|_| {
        let tree = sys::clone_tree(target, true).of(Call::OpenTree)?;
        sys::change_mount(&tree, READ_ONLY, true).of(Call::MountSetattr)?;
        Ok(tree)
    })
}

/// Covers each path with something that is ours: the host's null device or an empty directory. Nothing from inside the
/// root serves as a cover, since it could be exchanged (CVE-2025-31133). There is one cover of a kind, attached many
/// times: hosts with thousands of masked directories pay for one file system only.
pub fn mask<'a>(root: &Root, paths: List<'a, &'a CStr>, parameters: &CStr) -> Outcome {
    let (mut null, mut empty) = (None, None);
    each_existing(root, paths, |path, target| match sys::status(target).of(Call::Stat)?.file_type() {
        file_type::DIRECTORY => match &empty {
            Some(cover) => attach_copy(cover, target),
            None => {
                mount_empty(target, parameters)?;
                empty = Some(root.open(path, open::PATH, Resolve::InRoot)?);
                Ok(())
            }
        },
        _ => match &null {
            Some(cover) => attach_copy(cover, target),
            None => {
                let cover = null_device()?;
                sys::move_mount(&cover, target).of(Call::MoveMount)?;
                null = Some(cover);
                Ok(())
            }
        },
    })
}

fn attach_copy(cover: &Fd, target: &Fd) -> Outcome {
    let copy = sys::clone_tree(cover, false).of(Call::OpenTree)?;
    sys::move_mount(&copy, target).of(Call::MoveMount)
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

/// The host's null device, checked to be it.
fn null_device() -> Outcome<Fd> {
    let cover = sys::clone_tree_at(HERE, c"/dev/null", false).of(Call::OpenTree)?;
    let status = sys::status(&cover).of(Call::Stat)?;
    let is_null = status.file_type() == file_type::CHARACTER && (status.device_major, status.device_minor) == (1, 3);
    if is_null { Ok(cover) } else { Err(Fault::new(Call::RightNode, Errno::INVAL)) }
}

fn mount_empty(target: &Fd, parameters: &CStr) -> Outcome {
    let flags = mount_flag::READ_ONLY | mount_flag::NO_SUID | mount_flag::NO_DEV | mount_flag::NO_EXEC;
    sys::fchdir(target).of(Call::Chdir)?;
    sys::mount_here(c"tmpfs", c"tmpfs", flags, parameters).of(Call::Mount)
}
