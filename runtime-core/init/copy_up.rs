//! `tmpcopyup`: a new tmpfs starts with a copy of what the directory that it covers holds.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::nodes;
use crate::step::Call;
use crate::sys::{self, Errno, Fd, Status, file_type, open};

/// No honest image nests deeper; the stack is bounded.
const DEEPEST: usize = 64;

#[inline(never)]
pub fn copy(from: &Fd, to: &Fd) -> Outcome {
    let source = sys::openat(from.raw(), c".", open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
    let target = sys::openat(to.raw(), c".", open::DIRECTORY, 0).of(Call::Open)?;
    copy_directory(&source, &target, 0)
}

fn copy_directory(from: &Fd, to: &Fd, depth: usize) -> Outcome {
    if depth > DEEPEST {
        return Err(Fault::new(Call::Mkdir, Errno::LOOP));
    }
    let mut buffer = [0; 2048];
    loop {
        let filled = sys::getdents64(from, &mut buffer).of(Call::Getdents)?;
        if filled == 0 {
            return Ok(());
        }
        let mut entries = buffer.get(..filled).unwrap_or_default();
        while let Some((name, rest)) = next_name(entries) {
            entries = rest;
            if name != c"." && name != c".." {
                copy_entry(from, to, name, depth)?;
            }
        }
    }
}

/// The name of the first directory entry, and the entries behind it.
fn next_name(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let length = u16::from_ne_bytes(entries.get(LENGTH_AT..LENGTH_AT + 2)?.try_into().ok()?);
    let (entry, rest) = entries.split_at_checked(usize::from(length))?;
    Some((CStr::from_bytes_until_nul(entry.get(NAME_AT..)?).ok()?, rest))
}

fn copy_entry(from: &Fd, to: &Fd, name: &CStr, depth: usize) -> Outcome {
    let status = sys::status_at(from, name).of(Call::Stat)?;
    let mode = u32::from(status.mode & 0o7777);
    match status.file_type() {
        file_type::DIRECTORY => {
            let source = sys::openat(from.raw(), name, open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
            sys::mkdirat(to, name, mode).of(Call::Mkdir)?;
            let target = sys::openat(to.raw(), name, open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
            copy_directory(&source, &target, depth + 1)?;
        }
        file_type::REGULAR => copy_file(from, to, name, mode)?,
        file_type::LINK => copy_link(from, to, name)?,
        _ => {
            let device = nodes::device(status.device_major, status.device_minor);
            sys::mknodat(to, name, u32::from(status.mode), device).of(Call::Mknod)?;
        }
    }
    own_like(to, name, &status, mode)
}

fn copy_file(from: &Fd, to: &Fd, name: &CStr, mode: u32) -> Outcome {
    let source = sys::openat(from.raw(), name, open::NOFOLLOW | open::NONBLOCK, 0).of(Call::Open)?;
    let flags = open::WRITE | open::CREATE | open::EXCLUSIVE | open::NOFOLLOW;
    let target = sys::openat(to.raw(), name, flags, mode).of(Call::Open)?;
    let mut buffer = [0; 16384];
    loop {
        let read = sys::read(&source, &mut buffer).of(Call::Read)?;
        if read == 0 {
            target.close();
            return Ok(());
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let written = sys::write(&target, rest).of(Call::Write)?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

fn copy_link(from: &Fd, to: &Fd, name: &CStr) -> Outcome {
    let mut target = [0; 4096];
    let length = sys::readlinkat(from, name, &mut target[..4095]).of(Call::Open)?;
    if let Some(end) = target.get_mut(length) {
        *end = 0;
    }
    let target = CStr::from_bytes_until_nul(&target).unwrap_or_default();
    sys::symlinkat(target, to, name).of(Call::Symlink)
}

/// Owner and group as in the source; then the mode again, which a change of owner strips of its set-id bits.
fn own_like(to: &Fd, name: &CStr, status: &Status, mode: u32) -> Outcome {
    if (status.uid, status.gid) == (0, 0) {
        return Ok(());
    }
    sys::chownat(to, name, status.uid, status.gid).of(Call::Chown)?;
    if status.file_type() == file_type::LINK {
        return Ok(());
    }
    sys::chmodat(to, name, mode).of(Call::Chmod)
}
