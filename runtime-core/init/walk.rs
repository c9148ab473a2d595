//! Paths inside the root where `openat2` is missing: resolved here, one name at a time, from one open directory to the
//! next. No link is ever followed by the kernel: what it says is read and resolved like the rest, from the root on, so
//! that there is no way out, whatever the links say and however they change meanwhile.

use core::ffi::CStr;

use crate::fault::{Fault, Outcome};
use crate::paths::{MOST_LINKS, Name, PathBuffer};
use crate::step::{Call, Resolve};
use crate::sys::{self, Answer, Errno, Fd, file_type, open};

/// Opens a path inside `root`, as `openat2` would.
#[cold]
#[inline(never)]
pub fn open(root: &Fd, path: &CStr, flags: usize, how: Resolve) -> Answer<Fd> {
    walk(root, path, flags, how).map_err(|fault| fault.errno)
}

fn walk(root: &Fd, path: &CStr, flags: usize, how: Resolve) -> Outcome<Fd> {
    if path.is_empty() {
        return Err(refused(Errno::NOENT));
    }
    let mut whole = PathBuffer::new(path.to_bytes())?;
    let mut links = 0;
    loop {
        match descend(root, &mut whole, flags, how)? {
            Reached::End(found) => return Ok(found),
            Reached::Rewritten => {}
            Reached::Link => links += 1,
        }
        if links > MOST_LINKS {
            return Err(refused(Errno::LOOP));
        }
    }
}

enum Reached {
    End(Fd),
    /// The path is a different one now, which leads to the same place.
    Rewritten,
    /// The same, because of a link.
    Link,
}

/// Goes down from the root, until the path must be rewritten.
fn descend(root: &Fd, whole: &mut PathBuffer, flags: usize, how: Resolve) -> Outcome<Reached> {
    let mut current: Option<Fd> = None;
    let mut end = 0;
    while let Some((start, next)) = whole.component_after(end) {
        let directory = current.as_ref().unwrap_or(root);
        match whole.part(start, next) {
            b"." => {
                must_be_directory(directory)?;
                whole.cut(start, next)?;
                continue;
            }
            // What stands before it holds neither links nor dots any more.
            b".." => {
                must_be_directory(directory)?;
                whole.cut(whole.parent_end(start), next)?;
                return Ok(Reached::Rewritten);
            }
            _ => {}
        }
        let name = match Name::new(whole.part(start, next)) {
            Ok(name) => name,
            // Of two mistakes the kernel tells the nearer one.
            Err(fault) => return must_be_directory(directory).and(Err(fault)),
        };
        let is_last = whole.component_after(next).is_none();
        let found = said(sys::openat(directory.raw(), name.text(), open::PATH | open::NOFOLLOW, 0))?;
        if said(sys::status(&found))?.file_type() == file_type::LINK {
            if how == Resolve::NoSymlinks || is_magic(directory, &found)? {
                return Err(refused(Errno::LOOP));
            }
            whole.follow(directory, &name, start, next)?;
            return Ok(Reached::Link);
        }
        if is_last && flags & open::PATH == 0 {
            let flags = flags | open::NOFOLLOW | whole.ending();
            return said(sys::openat(directory.raw(), name.text(), flags, 0)).map(Reached::End);
        }
        current = Some(found);
        end = next;
    }
    if (flags | whole.ending()) & open::DIRECTORY != 0 {
        must_be_directory(current.as_ref().unwrap_or(root))?;
    }
    match current {
        Some(found) if flags & open::PATH != 0 => Ok(Reached::End(found)),
        last => said(sys::openat(last.as_ref().unwrap_or(root).raw(), c".", flags, 0)).map(Reached::End),
    }
}

fn must_be_directory(found: &Fd) -> Outcome {
    let is_directory = said(sys::status(found))?.file_type() == file_type::DIRECTORY;
    if is_directory { Ok(()) } else { Err(refused(Errno::NOTDIR)) }
}

/// A link of a procfs leads where its text doesn't say, except those in its root (`self`, `mounts`, …).
fn is_magic(directory: &Fd, link: &Fd) -> Outcome<bool> {
    let is_below_root = said(sys::status(directory))?.inode != sys::PROC_ROOT_INODE;
    Ok(is_below_root && said(sys::filesystem_magic(link))? == sys::PROC_MAGIC)
}

fn said<T>(answer: Answer<T>) -> Outcome<T> {
    answer.map_err(refused)
}

fn refused(errno: Errno) -> Fault {
    Fault::new(Call::Open, errno)
}
