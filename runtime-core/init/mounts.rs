//! Mounts: made as descriptors, attached to descriptors. No path is resolved between the check and the mount.

use core::ffi::CStr;

use crate::copy_up;
use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Create, Parameter, Propagation, Step, Target};
use crate::sys::{self, Errno, Fd, MountChange, file_type, propagation};
use crate::wire::{Borrowed, List};

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
    let Step::Mount { fstype, source, parameters, inherit_mode, copy_up, attributes, propagation, at } = step else {
        return Err(Fault::malformed());
    };
    let target = open_target(root, &at, at.create)?;
    let context = sys::fsopen(fstype).of(Call::Fsopen)?;
    sys::fsconfig_text(&context, c"source", source).of(Call::Fsconfig)?;
    configure(&context, parameters)?;
    if inherit_mode {
        let mode = OctalMode::of(sys::status(&target).of(Call::Stat)?.mode);
        sys::fsconfig_text(&context, c"mode", mode.text()).of(Call::Fsconfig)?;
    }
    sys::fsconfig_create(&context).of(Call::FsconfigCreate)?;
    let mount = sys::fsmount(&context, attributes).of(Call::Fsmount)?;
    if copy_up {
        copy_up::copy(&target, &mount)?;
    }
    sys::move_mount(&mount, &target).of(Call::MoveMount)?;
    for change in propagation.iter() {
        let change_to = MountChange { set: 0, clear: 0, propagation: flag(change) as u64 };
        sys::change_mount(&mount, change_to, is_recursive(change)).of(Call::MountSetattr)?;
    }
    Ok(())
}

fn configure<'a>(context: &Fd, parameters: List<'a, Parameter<Borrowed<'a>>>) -> Outcome {
    for (index, Parameter { key, has_value, value }) in parameters.iter().enumerate() {
        let answer =
            if has_value { sys::fsconfig_text(context, key, value) } else { sys::fsconfig_flag(context, key) };
        answer.of(Call::Fsconfig).map_err(|fault| fault.item(index))?;
    }
    Ok(())
}

/// Attaches what the parent opened. What it is, is known only now: the mount point is made like it.
pub fn attach(root: &Root, loan: Fd, at: Target<Borrowed<'_>>) -> Outcome {
    let create = match at.create {
        Create::LikeSource => match sys::status(&loan).of(Call::Stat)?.file_type() {
            file_type::DIRECTORY => Create::Directory,
            _ => Create::File,
        },
        asked => asked,
    };
    let target = open_target(root, &at, create)?;
    sys::move_mount(&loan, &target).of(Call::MoveMount)
}

fn open_target(root: &Root, at: &Target<Borrowed<'_>>, create: Create) -> Outcome<Fd> {
    let target = root.open_or_create(at.path, create, MADE_MODE, at.resolve)?;
    // A symlink may have led onto a procfs: a mount there could swallow label and parameter writes (CVE-2019-16884).
    if !at.on_proc && sys::filesystem_magic(&target).of(Call::Stat)? == sys::PROC_MAGIC {
        return Err(Fault::new(Call::NotOnProc, Errno::PERM));
    }
    Ok(target)
}

/// Permission bits as octal digits with a NUL.
struct OctalMode([u8; 5]);

impl OctalMode {
    fn of(mode: u16) -> Self {
        let digit = |shift: u16| b'0' + ((mode >> shift) & 7) as u8;
        OctalMode([digit(9), digit(6), digit(3), digit(0), 0])
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
