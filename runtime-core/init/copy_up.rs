//! `tmpcopyup`: a new tmpfs starts with a copy of what the directory that it covers holds.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::nodes;
use crate::step::Call;
use crate::sys::{self, Errno, Fd, Status, file_type, open};

/// No honest image nests deeper; the stack is bounded.
const DEEPEST: usize = 64;

#[inline(never)]
pub fn copy(from: &Fd, target: &Fd) -> Outcome {
    let source = sys::openat(from.raw(), c".", open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
    copy_directory(&source, target, 0)?;
    // The mode is up to the options of the mount, and so is the owner if they name one.
    let made = sys::status(target).of(Call::Stat)?;
    if (made.uid, made.gid) == (0, 0) {
        own_like(target, c"", &sys::status(&source).of(Call::Stat)?)?;
    }
    copy_attributes(&source, target)
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

/// The source may be shared with somebody who changes it meanwhile: what a name turns out to be when it is opened is what
/// counts. Nobody else sees the copy yet.
fn copy_entry(from: &Fd, to: &Fd, name: &CStr, depth: usize) -> Outcome {
    let status = match sys::status_at(from, name) {
        Err(Errno::NOENT) => return Ok(()),
        answer => answer.of(Call::Stat)?,
    };
    match status.file_type() {
        file_type::DIRECTORY => {
            let source = sys::openat(from.raw(), name, open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
            sys::mkdirat(to, name, 0o700).of(Call::Mkdir)?;
            let target = sys::openat(to.raw(), name, open::DIRECTORY | open::NOFOLLOW, 0).of(Call::Open)?;
            copy_directory(&source, &target, depth + 1)?;
            liken(&source, &target)
        }
        file_type::REGULAR => copy_file(from, to, name),
        file_type::LINK => {
            copy_link(from, to, name)?;
            own_like(to, name, &status)
        }
        _ => {
            let device = nodes::device(status.device_major, status.device_minor);
            sys::mknodat(to, name, u32::from(status.mode), device).of(Call::Mknod)?;
            own_like(to, name, &status)
        }
    }
}

fn copy_file(from: &Fd, to: &Fd, name: &CStr) -> Outcome {
    let flags = open::NOFOLLOW | open::NONBLOCK | open::NO_TERMINAL;
    let source = sys::openat(from.raw(), name, flags, 0).of(Call::Open)?;
    if sys::status(&source).of(Call::Stat)?.file_type() != file_type::REGULAR {
        return Err(Fault::new(Call::RightNode, Errno::INVAL));
    }
    let flags = open::WRITE | open::CREATE | open::EXCLUSIVE | open::NOFOLLOW;
    let target = sys::openat(to.raw(), name, flags, 0o600).of(Call::Open)?;
    let copied = copy_content(&source, &target).and_then(|()| liken(&source, &target));
    target.close();
    copied
}

fn copy_content(source: &Fd, target: &Fd) -> Outcome {
    let mut buffer = [0; 16384];
    loop {
        let read = sys::read(source, &mut buffer).of(Call::Read)?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let written = sys::write(target, rest).of(Call::Write)?;
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

/// Owner and group as in the source.
fn own_like(to: &Fd, name: &CStr, status: &Status) -> Outcome {
    if (status.uid, status.gid) == (0, 0) {
        return Ok(());
    }
    sys::chownat(to, name, status.uid, status.gid).of(Call::Chown)
}

/// Owner, mode and extended attributes as in the source; in this order, since a change of owner takes set-id bits and
/// capabilities away.
fn liken(source: &Fd, target: &Fd) -> Outcome {
    let status = sys::status(source).of(Call::Stat)?;
    own_like(target, c"", &status)?;
    sys::set_mode(target, u32::from(status.mode & 0o7777)).of(Call::Chmod)?;
    copy_attributes(source, target)
}

/// Those that the new file system takes.
fn copy_attributes(source: &Fd, target: &Fd) -> Outcome {
    let mut names = [0; 4096];
    let listed = match sys::list_attributes(source, &mut names) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        answer => answer.of(Call::Xattr)?,
    };
    let mut rest = names.get(..listed).unwrap_or_default();
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        rest = rest.get(name.to_bytes_with_nul().len()..).unwrap_or_default();
        let mut value = [0; 4096];
        let length = match sys::attribute(source, name, &mut value) {
            Err(Errno::NODATA) => continue,
            answer => answer.of(Call::Xattr)?,
        };
        match sys::set_attribute(target, name, value.get(..length).unwrap_or_default()) {
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCES) => {}
            answer => answer.of(Call::Xattr)?,
        }
    }
    Ok(())
}
