//! Kernel parameters, through a procfs that is known to be one.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Errno, Fd, HERE, open, resolve};

/// Parameters are below the real procfs, with nothing mounted on the way: a decoy would swallow the write, or turn it
/// into a write to something else (CVE-2025-52881).
pub const RULES: u64 = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_SYMLINKS;

pub fn write(path: &CStr, value: &CStr) -> Outcome {
    let parameters = proc_directory(c"sys")?;
    let file = sys::openat2(parameters.raw(), path, open::WRITE, 0, RULES).of(Call::Open)?;
    write_whole(&file, value)
}

/// Writes at once: half of a value is another value.
pub fn write_whole(file: &Fd, value: &CStr) -> Outcome {
    let written = sys::write(file, value.to_bytes()).of(Call::Write)?;
    if written == value.to_bytes().len() { Ok(()) } else { Err(Fault::new(Call::Write, Errno::INVAL)) }
}

/// A directory of the host's procfs: `self`, `thread-self` or `sys`.
pub fn proc_directory(name: &CStr) -> Outcome<Fd> {
    const PROC_ROOT_INODE: u64 = 1;
    let proc = sys::openat(HERE, c"/proc", open::PATH | open::DIRECTORY, 0).of(Call::Open)?;
    let magic = sys::filesystem_magic(&proc).of(Call::Stat)?;
    let inode = sys::status(&proc).of(Call::Stat)?.inode;
    if (magic, inode) != (sys::PROC_MAGIC, PROC_ROOT_INODE) {
        return Err(Fault::new(Call::TrustedProc, Errno::INVAL));
    }
    let rules = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_MAGICLINKS;
    sys::openat2(proc.raw(), name, open::PATH | open::DIRECTORY, 0, rules).of(Call::Open)
}
