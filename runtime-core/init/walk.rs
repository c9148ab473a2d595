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
        match whole.part(start, next) {
            b"." => {
                whole.cut(start, next)?;
                continue;
            }
            // What stands before it holds neither links nor dots any more.
            b".." => {
                whole.cut(whole.parent_end(start), next)?;
                return Ok(Reached::Rewritten);
            }
            _ => {}
        }
        let directory = current.as_ref().unwrap_or(root);
        let name = Name::new(whole.part(start, next))?;
        let is_last = whole.component_after(next).is_none();
        let found = said(sys::openat(directory.raw(), name.text(), open::PATH | open::NOFOLLOW, 0))?;
        if said(sys::status(&found))?.file_type() == file_type::LINK {
            if how == Resolve::NoSymlinks {
                return Err(refused(Errno::LOOP));
            }
            whole.follow(directory, &name, start, next)?;
            return Ok(Reached::Link);
        }
        if is_last && flags & open::PATH == 0 {
            let flags = flags | open::NOFOLLOW;
            return said(sys::openat(directory.raw(), name.text(), flags, 0)).map(Reached::End);
        }
        current = Some(found);
        end = next;
    }
    let last = current.as_ref().unwrap_or(root);
    if flags & open::DIRECTORY != 0 && said(sys::status(last))?.file_type() != file_type::DIRECTORY {
        return Err(refused(Errno::NOTDIR));
    }
    match current {
        Some(found) => Ok(Reached::End(found)),
        None => said(sys::openat(root.raw(), c".", flags, 0)).map(Reached::End),
    }
}

fn said<T>(answer: Answer<T>) -> Outcome<T> {
    answer.map_err(refused)
}

fn refused(errno: Errno) -> Fault {
    Fault::new(Call::Open, errno)
}
