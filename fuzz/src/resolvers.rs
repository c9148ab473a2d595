//! The two ways in which init resolves a path inside the root, side by side on one tree: the kernel's (`openat2`), and
//! its own where the kernel has none (`init/walk.rs`).

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::jail::within;
use crate::paths;
use crate::step::Resolve;
use crate::sys::{self, Answer, Errno, Fd, open, resolve};
use crate::walk;

/// As many paths are looked up in each tree.
const QUESTIONS: usize = 12;
/// As many things are in a tree at most.
const THINGS: usize = 14;

/// Makes the tree that the bytes describe, and looks up the paths that they describe, in both ways.
pub fn tree(bytes: &[u8]) {
    let bytes = bytes.to_vec();
    let mut choice = Choice(bytes.into_iter());
    within(move || {
        // The loan of a number: descriptors are closed as soon as they are out of use.
        sys::leave_open_below(0);
        let tree = Tree::grow(&mut choice);
        let root =
            sys::openat(CWD.as_raw_fd(), c"/tree", open::PATH | open::DIRECTORY, 0).expect("it was made");
        for _ in 0..QUESTIONS {
            let path = CString::new(tree.path(&mut choice)).unwrap_or_default();
            let flags = choice.one(&FLAGS);
            let how = choice.one(&[Resolve::InRoot, Resolve::NoSymlinks]);
            compare(&tree, &root, &path, flags, how);
        }
    });
}

/// Nothing here waits for the other end of a pipe.
const FLAGS: [usize; 5] =
    [open::PATH, open::PATH | open::DIRECTORY, open::NONBLOCK, open::DIRECTORY, open::WRITE | open::NONBLOCK];

fn compare(tree: &Tree, root: &Fd, path: &CStr, flags: usize, how: Resolve) {
    let rules = match how {
        Resolve::InRoot => resolve::IN_ROOT | resolve::NO_MAGICLINKS,
        Resolve::NoSymlinks => resolve::IN_ROOT | resolve::NO_SYMLINKS,
    };
    let kernel = seen(asked(|| sys::openat2(root.raw(), path, flags, 0, rules)));
    let walk = seen(walk::open(root, path, flags, how));
    let equal = walk == kernel || walk == Err(Errno::NAMETOOLONG) && tree.outgrows(path.to_bytes());
    assert!(equal, "{walk:?} and not {kernel:?} for {path:?} with {flags:#o} {how:?} in {tree:?}");
}

/// The kernel asks to be asked again if anything on the machine was moved or mounted meanwhile.
fn asked(ask: impl Fn() -> Answer<Fd>) -> Answer<Fd> {
    const AGAIN: Errno = Errno(11);
    std::iter::repeat_with(ask).find(|answer| !matches!(answer, Err(AGAIN))).expect("it goes on for ever")
}

/// What was opened: its device, inode and mount, and whether it can be read and written.
#[derive(Debug, PartialEq)]
struct Seen {
    node: ([u32; 2], u64, u64),
    uses: [Option<Errno>; 2],
}

fn seen(answer: Answer<Fd>) -> Result<Seen, Errno> {
    let fd = answer?;
    let status = sys::status(&fd)?;
    let uses = [sys::read(&fd, &mut []).err(), sys::write(&fd, &[]).err()];
    Ok(Seen { node: (status.holder, status.inode, sys::mount_id(&fd)?), uses })
}

/// The bytes, one decision after the other; when they are used up, it is always the first possibility.
struct Choice(std::vec::IntoIter<u8>);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A path of a few parts, well-formed or not.
    fn path(&mut self, most: usize) -> Vec<u8> {
        const PARTS: [&[u8]; 16] = [
            b"a", b"b", b"c", b"d", b"..", b".", b"", b"a", b"b", b"...", b"self", b"exe", b"fd", b"root",
            b"0", b"..",
        ];
        let mut path = if self.below(3) == 0 { b"/".to_vec() } else { Vec::new() };
        for place in 0..=self.below(most) {
            if place > 0 {
                path.push(b'/');
            }
            path.extend(self.one(&PARTS));
        }
        match self.below(24) {
            0 => path.push(b'/'),
            1 => path.extend(b"/."),
            2 => path.extend([b'x'; 255]),
            3 => path.extend([b'x'; 256]),
            4 => path = b"/a/".repeat(1400)[..4095].to_vec(),
            5 => path = b"./".repeat(2047),
            6 => path = b"a/../".repeat(700),
            _ => {}
        }
        path
    }
}

/// A tree in the jail, and what it took to make it; it goes when this goes.
#[derive(Debug, Default)]
struct Tree {
    things: Vec<String>,
    mounts: Vec<PathBuf>,
    /// How long the longest link is.
    longest: usize,
}

const ROOT: &str = "/tree";
impl Tree {
    fn grow(choice: &mut Choice) -> Self {
        fs::create_dir(ROOT).expect("the last one was removed");
        let mut tree = Tree::default();
        let mut directories = vec![PathBuf::from(ROOT)];
        for _ in 0..=choice.below(THINGS) {
            let parent = directories[choice.below(directories.len())].clone();
            let path = parent.join(choice.one(&["a", "b", "c", "d", "...", "self"]));
            match choice.below(24) {
                0..=9 => tree.put("link", &path, symlink(OsStr::from_bytes(&choice.target()), &path).is_ok()),
                10 | 11 => tree.put("file", &path, make(&path, FileType::RegularFile)),
                12 => tree.put("pipe", &path, make(&path, FileType::Fifo)),
                13 => tree.put("device", &path, make(&path, FileType::CharacterDevice)),
                14 if tree.mounts.is_empty() => tree.mount(&path, choice),
                _ if fs::create_dir(&path).is_ok() => {
                    tree.put("directory", &path, true);
                    directories.push(path);
                }
                _ => {}
            }
        }
        tree
    }

    /// Whether the walk has no room for what its links may make of the path, which the kernel has; or a name has more
    /// letters than any file system but procfs would look for.
    fn outgrows(&self, path: &[u8]) -> bool {
        let has_long_name = path.split(|byte| *byte == b'/').any(|name| name.len() > 255);
        path.len() + paths::MOST_LINKS * self.longest >= 4096 || has_long_name && !self.mounts.is_empty()
    }

    /// Often below what is mounted.
    fn path(&self, choice: &mut Choice) -> Vec<u8> {
        let path = choice.path(5);
        match self.mounts.first() {
            Some(place) if choice.below(2) == 0 => {
                let place = place.strip_prefix(ROOT).expect("it is in the tree").as_os_str().as_bytes();
                [place, b"/", &path].concat()
            }
            _ => path,
        }
    }

    fn put(&mut self, what: &str, path: &Path, made: bool) {
        if made {
            let target = fs::read_link(path).unwrap_or_default();
            self.longest = self.longest.max(target.as_os_str().len());
            let target = target.to_string_lossy();
            self.things.push(format!("{what} {} {}", path.display(), target.get(..60).unwrap_or(&target)));
        }
    }

    /// A file system of its own, perhaps one with links that aren't what they say.
    fn mount(&mut self, path: &Path, choice: &mut Choice) {
        let kind = choice.one(&["proc", "tmpfs"]);
        let mounted =
            fs::create_dir(path).is_ok() && mount(kind, path, kind, MountFlags::empty(), None).is_ok();
        self.put(kind, path, mounted);
        self.mounts.extend(mounted.then(|| path.to_owned()));
    }
}

impl Choice {
    /// What a link says.
    fn target(&mut self) -> Vec<u8> {
        let target = self.path(4);
        // The kernel takes no empty one.
        if target.is_empty() { b".".to_vec() } else { target }
    }
}

fn make(path: &Path, kind: FileType) -> bool {
    mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, rustix::fs::makedev(1, 3)).is_ok()
}

impl Drop for Tree {
    fn drop(&mut self) {
        for path in &self.mounts {
            unmount(path, UnmountFlags::DETACH).expect("it was mounted");
        }
        fs::remove_dir_all(ROOT).expect("it can be removed");
    }
}
