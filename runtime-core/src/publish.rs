//! Files that are there whole, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Result, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// How often a file is put in the place of those that others put there at the same time.
const ATTEMPTS: usize = 8;

/// Puts a file with this content into a directory, in place of any other of its name. It has no name until it is
/// complete: whoever is killed while writing it leaves nothing behind.
///
/// # Errors
/// The file can't be written, or something that is no file has its name.
pub(crate) fn publish(directory: BorrowedFd<'_>, name: &OsStr, mode: Mode, content: &[&[u8]]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    match openat(directory, c".", flags, mode) {
        Err(Errno::OPNOTSUPP) => publish_by_renaming(directory, name, mode, content),
        opened => {
            let mut file = File::from(opened?);
            write(&mut file, content)?;
            Ok(give_name(&file, directory, name)?)
        }
    }
}

fn write(file: &mut File, content: &[&[u8]]) -> Result<()> {
    content.iter().try_for_each(|part| file.write_all(part))
}

/// A link never replaces anything; and only the privileged can link a descriptor that isn't reached through /proc.
fn give_name(file: &File, directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    for _ in 0..ATTEMPTS {
        match linkat(CWD, nameless.as_str(), directory, name, AtFlags::SYMLINK_FOLLOW) {
            Err(Errno::EXIST) => match unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                refused => return refused,
            },
            linked => return linked,
        }
    }
    Err(Errno::EXIST)
}

/// For file systems on which every file has a name. One who is killed leaves a draft there.
fn publish_by_renaming(directory: BorrowedFd<'_>, name: &OsStr, mode: Mode, content: &[&[u8]]) -> Result<()> {
    let draft = draft_name(name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, &draft, flags, mode)?);
    let written = write(&mut file, content).and_then(|()| Ok(renameat(directory, &draft, directory, name)?));
    if written.is_err() {
        let _ = unlinkat(directory.as_fd(), &draft, AtFlags::empty());
    }
    written
}

/// A name that no other thread and no other process on this machine uses at the same time.
fn draft_name(name: &OsStr) -> OsString {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}.{number}", rustix::process::getpid()));
    draft
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state::scratch::Scratch;

    type Publish = fn(BorrowedFd<'_>, &OsStr, Mode, &[&[u8]]) -> Result<()>;

    const WAYS: [Publish; 2] = [publish, publish_by_renaming];

    fn put(way: Publish, scratch: &Scratch, name: &str, content: &[&[u8]]) -> Result<()> {
        let directory = File::open(scratch.path()).unwrap();
        way(directory.as_fd(), name.as_ref(), Mode::from_raw_mode(0o600), content)
    }

    #[test]
    fn a_file_takes_the_place_of_another() {
        for way in WAYS {
            let scratch = Scratch::new();
            let path = scratch.path().join("it");
            put(way, &scratch, "it", &[b"some", b"thing"]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"something");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            put(way, &scratch, "it", &[b"else"]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"else");
        }
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        for way in WAYS {
            let scratch = Scratch::new();
            fs::write(scratch.path().join("target"), "old").unwrap();
            std::os::unix::fs::symlink("target", scratch.path().join("it")).unwrap();
            put(way, &scratch, "it", &[b"new"]).unwrap();
            assert_eq!(fs::read(scratch.path().join("target")).unwrap(), b"old");
            assert_eq!(fs::read(scratch.path().join("it")).unwrap(), b"new");
        }
    }

    #[test]
    fn nothing_but_the_file_remains_whatever_happens() {
        for way in WAYS {
            let scratch = Scratch::new();
            fs::create_dir_all(scratch.path().join("it/inner")).unwrap();
            put(way, &scratch, "it", &[b"new"]).unwrap_err();
            put(way, &scratch, "other", &[b"new"]).unwrap();
            let names = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.collect();
            names.sort();
            assert_eq!(names, ["it", "other"]);
        }
    }
}
