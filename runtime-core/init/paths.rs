//! Paths inside the root. They are resolved from the root's descriptor and never leave it, whatever symlinks the root
//! holds and however they change meanwhile.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::step::{Call, Create, Resolve};
use crate::sys::{self, Errno, Fd, file_type, open, resolve};
use crate::walk;

/// The root file system of the container, by descriptor.
pub struct Root(Fd);

/// As many symlinks as the kernel follows in one path.
pub const MOST_LINKS: usize = 40;

/// The length of the longest path, with its NUL.
const PATH_MAX: usize = 4096;

impl Root {
    pub fn new(directory: Fd) -> Self {
        Root(directory)
    }

    pub fn directory(&self) -> &Fd {
        &self.0
    }

    /// Opens a path inside the root.
    pub fn open(&self, path: &CStr, flags: usize, how: Resolve) -> Outcome<Fd> {
        self.try_open(path, flags, how).of(Call::Open)
    }

    /// As [`Root::open`], for a caller that makes something of the errno.
    pub fn try_open(&self, path: &CStr, flags: usize, how: Resolve) -> sys::Answer<Fd> {
        let rules = match how {
            Resolve::InRoot => resolve::IN_ROOT | resolve::NO_MAGICLINKS,
            Resolve::NoSymlinks => resolve::IN_ROOT | resolve::NO_SYMLINKS,
        };
        match sys::openat2(self.0.raw(), path, flags, 0, rules) {
            Err(errno) if errno.is_missing_call() || errno == Errno::AGAIN => {
                walk::open(&self.0, path, flags, how)
            }
            answer => answer,
        }
    }

    /// Opens a path inside the root; makes what is missing.
    pub fn open_or_create(&self, path: &CStr, what: Create, mode: u32, how: Resolve) -> Outcome<Fd> {
        match self.try_open(path, open::PATH, how) {
            Err(Errno::NOENT) => self.create(path, what, mode, how),
            answer => answer.of(Call::Open),
        }
    }

    /// Makes a path that is missing: goes up to what exists, then down again, making one component at a time. Each is opened inside the root anew, so
    /// one that is exchanged meanwhile leads nowhere outside; only single names are created, in an open directory.
    #[inline(never)]
    pub fn create(&self, path: &CStr, what: Create, mode: u32, how: Resolve) -> Outcome<Fd> {
        let mut whole = PathBuffer::new(path.to_bytes())?;
        let mut links = 0;
        let (mut parent, mut end) = self.deepest(&mut whole, how)?;
        while let Some((start, next)) = whole.component_after(end) {
            let create = if whole.component_after(next).is_none() { what } else { Create::Directory };
            let name = Name::new(whole.part(start, next))?;
            match make(&parent, name.text(), create, mode) {
                Ok(()) => {}
                // A dangling link: what it points to is made instead, inside the root. Or another one was faster.
                Err(Errno::EXIST) => {
                    if how == Resolve::InRoot && whole.follow(&parent, &name, start, next)? {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(Fault::new(Call::Open, Errno::LOOP));
                        }
                        (parent, end) = self.deepest(&mut whole, how)?;
                        continue;
                    }
                }
                Err(errno) => return Err(Fault::new(Call::Mkdir, errno)),
            }
            parent = whole.with_prefix(next, |made| self.open(made, open::PATH, how))?;
            end = next;
        }
        Ok(parent)
    }

    /// The longest part of a path that exists, and where it ends; the whole path is known not to.
    fn deepest(&self, path: &mut PathBuffer, how: Resolve) -> Outcome<(Fd, usize)> {
        let mut end = path.bytes().len();
        loop {
            end = path.parent_end(end);
            let found = match end {
                0 => self.try_open(c"/", open::PATH, how),
                _ => path.with_prefix(end, |prefix| self.try_open(prefix, open::PATH, how)),
            };
            match found {
                Err(Errno::NOENT) if end > 0 => {}
                answer => return answer.of(Call::Open).map(|found| (found, end)),
            }
        }
    }
}

pub fn make_directory(root: &Root, path: &CStr, mode: u32) -> Outcome {
    root.open_or_create(path, Create::Directory, mode, Resolve::InRoot).map(|_| ())
}

fn make(parent: &Fd, name: &CStr, what: Create, mode: u32) -> sys::Answer<()> {
    match what {
        Create::Directory => sys::mkdirat(parent, name, mode),
        // Not opened: a mount with a file that is open for writing can't become read-only.
        Create::File | Create::LikeSource => {
            sys::mknodat(parent, name, u32::from(file_type::REGULAR) | mode, 0)
        }
    }
}

/// One component of a path, with a NUL behind it.
pub struct Name([u8; 256]);

impl Name {
    pub fn new(name: &[u8]) -> Outcome<Self> {
        let mut bytes = [0; 256];
        let room = if name.len() < bytes.len() { bytes.get_mut(..name.len()) } else { None };
        room.ok_or(Fault::new(Call::Open, Errno::NAMETOOLONG))?.copy_from_slice(name);
        Ok(Name(bytes))
    }

    pub fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// A path of bounded length, with a NUL behind it.
pub struct PathBuffer {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl PathBuffer {
    pub fn new(path: &[u8]) -> Outcome<Self> {
        let mut buffer = PathBuffer { bytes: [0; PATH_MAX], length: 0 };
        buffer.push(path)?;
        Ok(buffer)
    }

    fn push(&mut self, part: &[u8]) -> Outcome {
        let end = self.length + part.len();
        // One byte stays for the NUL.
        let room = if end < PATH_MAX { self.bytes.get_mut(self.length..end) } else { None };
        room.ok_or(Fault::new(Call::Open, Errno::NAMETOOLONG))?.copy_from_slice(part);
        self.length = end;
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Calls with the path's start as a text.
    fn with_prefix<T>(&mut self, end: usize, act: impl FnOnce(&CStr) -> T) -> T {
        let kept = self.bytes.get_mut(end).map(|place| core::mem::replace(place, 0));
        let answer = act(CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default());
        if let (Some(place), Some(kept)) = (self.bytes.get_mut(end), kept) {
            *place = kept;
        }
        answer
    }

    /// Start and end of the first component at or after `from`.
    pub fn component_after(&self, from: usize) -> Option<(usize, usize)> {
        let rest = self.bytes().get(from..)?;
        let start = from + rest.iter().position(|byte| *byte != b'/')?;
        let rest = self.bytes().get(start..)?;
        let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        Some((start, start + length))
    }

    /// Where the path without its last component, of those before `end`, ends.
    pub fn parent_end(&self, end: usize) -> usize {
        let before = self.bytes().get(..end).unwrap_or_default();
        let is_name = |byte: &u8| *byte != b'/';
        let name_end = before.iter().rposition(is_name).map_or(0, |last| last + 1);
        let name_start = before.iter().take(name_end).rposition(|byte| *byte == b'/').unwrap_or(0);
        before.iter().take(name_start).rposition(is_name).map_or(0, |last| last + 1)
    }

    pub fn part(&self, start: usize, end: usize) -> &[u8] {
        self.bytes().get(start..end).unwrap_or_default()
    }

    /// What the path's end demands of what it leads to: a directory, if it is a slash.
    pub fn ending(&self) -> usize {
        if self.bytes().last() == Some(&b'/') { open::DIRECTORY } else { 0 }
    }

    /// Takes a part out.
    pub fn cut(&mut self, start: usize, end: usize) -> Outcome {
        let mut whole = PathBuffer::new(self.part(0, start))?;
        whole.push(self.bytes().get(end..).unwrap_or_default())?;
        *self = whole;
        Ok(())
    }

    /// Replaces a component that is a symlink by what it points to. False if the name is no symlink any more.
    #[inline(never)]
    pub fn follow(&mut self, parent: &Fd, name: &Name, start: usize, end: usize) -> Outcome<bool> {
        let mut target = [0; PATH_MAX];
        let length = match sys::readlinkat(parent, name.text(), &mut target) {
            Ok(length) => length,
            Err(Errno::INVAL | Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Fault::new(Call::Open, errno)),
        };
        let target = target.get(..length).unwrap_or_default();
        let before = if target.first() == Some(&b'/') { &[] } else { self.part(0, start) };
        let mut whole = PathBuffer::new(before)?;
        whole.push(target)?;
        whole.push(self.bytes().get(end..).unwrap_or_default())?;
        *self = whole;
        Ok(true)
    }
}
