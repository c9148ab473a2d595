//! Files of one container's directory, by the directory's descriptor.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{Document, VERSION};
use crate::error::{Context, Error, Result};
use crate::publish::publish;
use crate::spec::ContainerId;

/// The most that is read of a file: far above what is ever written, far below what harms the reader.
const LIMIT: u64 = 64 << 20;

/// No file has this name.
const NOTHING: &CStr = c"";

/// Opens a directory below another one; a symlink is not one.
pub(super) fn directory(parent: BorrowedFd<'_>, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Nothing where there is no such file.
pub(super) fn absent<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Err(Errno::NOENT) => Ok(None),
        result => result.map(Some),
    }
}

/// Removes a file that may be missing.
pub(super) fn unlink(dir: BorrowedFd<'_>, name: impl Arg, flags: AtFlags) -> rustix::io::Result<()> {
    absent(unlinkat(dir, name, flags)).map(drop)
}

/// Writes a file that nobody reads before it is complete.
pub(super) fn write(dir: BorrowedFd<'_>, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::from_raw_mode(0o600))?;
    File::from(file).write_all(content)
}

/// Reads a whole file.
pub(super) fn read(dir: BorrowedFd<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(file) = absent(openat(dir, name, flags, Mode::empty()))? else { return Ok(None) };
    let mut content = Vec::with_capacity(8 << 10);
    File::from(file).take(LIMIT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LIMIT {
        return Err(Errno::FBIG.into());
    }
    Ok(Some(content))
}

/// Writes a JSON file that nobody reads before it is complete; `path` is for people.
pub(super) fn write_json(dir: BorrowedFd<'_>, name: &str, value: &impl Serialize, path: &Path) -> Result<()> {
    let doing = || format!("cannot write {}", path.join(name).display());
    write(dir, name, &json(value).doing(doing)?).doing(doing)
}

/// Writes a JSON file that somebody may be reading.
pub(super) fn publish_json(
    dir: BorrowedFd<'_>,
    name: &str,
    value: &impl Serialize,
    path: &Path,
) -> Result<()> {
    let doing = || format!("cannot write {}", path.join(name).display());
    let content = json(value).doing(doing)?;
    publish(dir, name.as_ref(), Mode::from_raw_mode(0o600), &[&content]).doing(doing)
}

/// The one thing that JSON can't hold is a path that isn't UTF-8.
fn json(value: &impl Serialize) -> rustix::io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Errno::ILSEQ)
}

/// Reads a JSON file about the container `id`; `path`, that of the directory, is for people.
pub(super) fn read_json<T: Document + DeserializeOwned>(
    dir: BorrowedFd<'_>,
    name: &str,
    id: &ContainerId,
    path: &Path,
) -> Result<Option<T>> {
    let content = read(dir, name).doing(|| format!("cannot read {}", path.join(name).display()))?;
    let document = content.map(|content| understood(&content, id)).transpose();
    document.map_err(|problem| Error::Damaged { path: path.join(name), problem })
}

fn understood<T: Document + DeserializeOwned>(content: &[u8], id: &ContainerId) -> Result<T, String> {
    if content.is_empty() {
        return Err("it is empty".into());
    }
    let document: T = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    match document.version() {
        VERSION if document.id() == id => Ok(document),
        VERSION => Err(format!("it is about another container, {}", document.id())),
        version => Err(format!("its version is {version}, and this program knows version {VERSION}")),
    }
}

/// Removes everything in a directory, whatever it is, and `last` after all else.
pub(super) fn empty(dir: BorrowedFd<'_>, last: &CStr) -> rustix::io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." && name != last {
            discard(dir, name)?;
        }
    }
    unlink(dir, last, AtFlags::empty())
}

fn discard(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    match unlink(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {
            empty(directory(dir, name)?.as_fd(), NOTHING)?;
            unlink(dir, name, AtFlags::REMOVEDIR)
        }
        removed => removed,
    }
}
