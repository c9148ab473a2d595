//! What security modules are told: how to label what comes.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::paths::Root;
use crate::step::{Call, Labelled, Resolve};
use crate::sys::{self, Errno, open};
use crate::sysctl::write_whole;

/// Written to this thread's own files in the real procfs: a decoy would swallow the label, and the program would run
/// without it (CVE-2019-16884, CVE-2025-52881). The module is asked whether it has taken it.
pub fn set(of: Labelled, label: &CStr) -> Outcome {
    // KERNEL(5.8): the directory of AppArmor's own, which no other module answers for.
    let path = match of {
        Labelled::Profile => c"attr/apparmor/exec",
        Labelled::Process => c"attr/exec",
        Labelled::Keys => c"attr/keycreate",
    };
    let thread = sys::proc_directory(c"thread-self").of(Call::TrustedProc)?;
    let file = sys::open_in_proc(&thread, path, open::READ_WRITE).of(Call::Open)?;
    write_whole(&file, label)?;
    match sys::read(&file, &mut [0]).of(Call::Read)? {
        0 => Err(Fault::new(Call::LabelTaken, Errno::INVAL)),
        _ => Ok(()),
    }
}

/// For a file system that was there before it was mounted, so that it can't be mounted with a label.
pub fn mount(root: &Root, path: &CStr, label: &CStr) -> Outcome {
    let mounted = root.open(path, open::DIRECTORY, Resolve::NoSymlinks)?;
    sys::set_attribute(&mounted, c"security.selinux", label.to_bytes_with_nul()).of(Call::Xattr)
}
