//! What the container must not write, and what it must not see.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Resolve};
use crate::sys::{self, Answer, Errno, Fd, HERE, MountChange, attribute, file_type, open};
use crate::wire::List;

const READ_ONLY: MountChange = MountChange { set: attribute::READ_ONLY, clear: 0, propagation: 0 };

pub fn set_attributes(root: &Root, path: &CStr, set: u64, clear: u64, recursive: bool) -> Outcome {
    let mount = root.open(path, open::PATH, Resolve::InRoot)?;
    sys::change_mount(&mount, MountChange { set, clear, propagation: 0 }, recursive).of(Call::MountSetattr)
}

/// Makes each path a mount of its own, read-only with what is below, its other attributes as they were.
pub fn protect<'a>(root: &Root, paths: List<'a, &'a CStr>) -> Outcome {
    each_existing(root, paths, |target| {
        let tree = sys::clone_tree(target, true).of(Call::OpenTree)?;
        sys::change_mount(&tree, READ_ONLY, true).of(Call::MountSetattr)?;
        sys::move_mount(&tree, target).of(Call::MoveMount)
    })
}

/// Covers each path with something that is ours: the host's null device or an empty directory. Nothing from inside the
/// root serves as a cover, since it could be exchanged (CVE-2025-31133).
pub fn mask<'a>(root: &Root, paths: List<'a, &'a CStr>) -> Outcome {
    let mut file_cover = Cover { make: null_device, first: None };
    let mut directory_cover = Cover { make: empty_directory, first: None };
    each_existing(root, paths, |target| match sys::status(target).of(Call::Stat)?.file_type() {
        file_type::DIRECTORY => directory_cover.put_over(target),
        _ => file_cover.put_over(target),
    })
}

/// A missing path is skipped: config.json lists what some kernels have.
fn each_existing<'a>(
    root: &Root,
    paths: List<'a, &'a CStr>,
    mut act: impl FnMut(&Fd) -> Outcome,
) -> Outcome {
    for (index, path) in paths.iter().enumerate() {
        match root.try_open(path, open::PATH, Resolve::InRoot) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            answer => answer.of(Call::Open).and_then(|target| act(&target)),
        }
        .map_err(|fault: Fault| fault.item(index))?;
    }
    Ok(())
}

/// One mount that covers many paths: hosts with thousands of masked directories pay for one file system only.
struct Cover {
    make: fn() -> Outcome<Fd>,
    first: Option<Fd>,
}

impl Cover {
    fn put_over(&mut self, target: &Fd) -> Outcome {
        match &self.first {
            Some(first) => {
                let copy = sys::clone_tree(first, false).of(Call::OpenTree)?;
                sys::move_mount(&copy, target).of(Call::MoveMount)
            }
            None => {
                let cover = (self.make)()?;
                sys::move_mount(&cover, target).of(Call::MoveMount)?;
                self.first = Some(cover);
                Ok(())
            }
        }
    }
}

/// The host's null device, checked to be it.
fn null_device() -> Outcome<Fd> {
    let cover = sys::clone_tree_at(HERE, c"/dev/null", false).of(Call::OpenTree)?;
    let status = sys::status(&cover).of(Call::Stat)?;
    let is_null = status.file_type() == file_type::CHARACTER && (status.device_major, status.device_minor) == (1, 3);
    if is_null { Ok(cover) } else { Err(Fault::new(Call::RightNode, Errno::INVAL)) }
}

fn empty_directory() -> Outcome<Fd> {
    let context = sys::fsopen(c"tmpfs").of(Call::Fsopen)?;
    configure_empty(&context).of(Call::Fsconfig)?;
    sys::fsconfig_create(&context).of(Call::FsconfigCreate)?;
    let locked = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;
    sys::fsmount(&context, locked).of(Call::Fsmount)
}

fn configure_empty(context: &Fd) -> Answer<()> {
    sys::fsconfig_flag(context, c"ro")?;
    sys::fsconfig_text(context, c"mode", c"755")?;
    sys::fsconfig_text(context, c"nr_blocks", c"1")
}
