//! What attacks on a runtime are made of: a place on the host that must stay as it is, and somebody who exchanges what
//! the runtime looks at while it looks.

use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};

use crate::test::{Test, repetitions};

/// How often a race is run: `ROUNDS`, or 500.
pub fn rounds() -> usize {
    repetitions("ROUNDS", 500)
}

/// A directory of the host with files, a device and a directory, in which nothing may change and nothing be opened.
///
/// Dropping it fails the test if something did, even if it was undone.
#[derive(Debug)]
pub struct Sentinel {
    /// The directory.
    pub path: PathBuf,
    before: BTreeMap<PathBuf, Entry>,
    watch: OwnedFd,
}

/// The files of a sentinel, named like what runtimes have written to; `null` is the null device, `below/deep` a file.
const FILES: [&str; 7] = ["file", "ptmx", "console", "exec", "passwd", "core_pattern", "below/deep"];

impl Sentinel {
    /// A new one in the directory of a test.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(test: &Test) -> Self {
        let path = test.directory.join(format!("sentinel-{}", test.fresh()));
        fs::create_dir_all(path.join("below")).expect("a sentinel can be made");
        FILES
            .iter()
            .for_each(|name| fs::write(path.join(name), "as it was\n").expect("a file can be written"));
        mknodat(CWD, path.join("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3))
            .expect("root may make devices");
        Self::watching(path)
    }

    /// Takes a directory that is there for one.
    ///
    /// # Panics
    /// When it cannot be watched.
    pub fn watching(path: PathBuf) -> Self {
        let before = snapshot(&path);
        let watch =
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("files can be watched");
        // A file may be reached by other names than those in the directory.
        for place in before.keys() {
            inotify::add_watch(&watch, place, every_event()).expect("a file can be watched");
        }
        Self { path, before, watch }
    }

    /// A path below it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What has happened in it since the last time that somebody asked.
    pub fn events(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.watch, &mut buffer);
        let next = || reader.next().ok().map(|event| format!("{:?} {:?}", event.file_name(), event.events()));
        std::iter::from_fn(next).collect()
    }

    /// Insists that nothing has happened in it.
    ///
    /// # Panics
    /// When something has.
    #[track_caller]
    pub fn is_untouched(&self) {
        let events = self.events();
        assert!(events.is_empty(), "{} was touched: {events:#?}", self.path.display());
    }

    fn differences(&self) -> Vec<String> {
        let after = snapshot(&self.path);
        let all = self.before.keys().chain(after.keys().filter(|path| !self.before.contains_key(*path)));
        let changed = all.filter(|path| self.before.get(*path) != after.get(*path));
        changed
            .map(|path| format!("{path:?}: {:?}, now {:?}", self.before.get(path), after.get(path)))
            .collect()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // What is read for the comparison would be an event too.
        let (events, differences) = (self.events(), self.differences());
        let fine = events.is_empty() && differences.is_empty();
        assert!(fine || thread::panicking(), "the sentinel was changed: {differences:#?} {events:#?}");
    }
}

/// Not that something is closed, which was opened before: processes that other tests start inherit for a moment what this
/// one has open, and let go of it later.
fn every_event() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::MOVE
        | WatchFlags::MOVE_SELF
        | WatchFlags::OPEN
        | WatchFlags::DONT_FOLLOW
}

/// All that can be told of a file, except when it was read.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    place: (u64, u64),
    mode: u32,
    owner: (u32, u32),
    links: u64,
    device: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    content: Vec<u8>,
}

fn snapshot(path: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    add(path, &mut all);
    all
}

fn add(path: &Path, all: &mut BTreeMap<PathBuf, Entry>) {
    let found = fs::symlink_metadata(path).expect("what is listed is there");
    let content = if found.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    if found.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| add(&entry.path(), all));
    }
    let entry = Entry {
        place: (found.dev(), found.ino()),
        mode: found.mode(),
        owner: (found.uid(), found.gid()),
        links: found.nlink(),
        device: found.rdev(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        content,
    };
    all.insert(path.to_owned(), entry);
}

/// Somebody who does the same thing again and again on a thread of his own, until he is dropped.
#[derive(Debug)]
pub struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attacker {
    /// Somebody who does this, and has begun.
    ///
    /// # Panics
    /// When he ends before he has done it once.
    pub fn repeating(mut act: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let (begun, has_begun) = channel();
        let attack = move || {
            act();
            let _ = begun.send(());
            while !told.load(Ordering::Relaxed) {
                act();
            }
        };
        let attacker = Self { stop, thread: Some(thread::spawn(attack)) };
        has_begun.recv().expect("an attacker does it once");
        attacker
    }

    /// Somebody who exchanges the two names of each pair; both are there at every moment.
    pub fn exchanging(pairs: Vec<(PathBuf, PathBuf)>) -> Self {
        Self::repeating(move || {
            for (one, other) in &pairs {
                let _ = exchange(one, other);
            }
        })
    }

    /// Ends it, as dropping does.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the attacker failed");
    }
}

/// Exchanges two names at one stroke.
///
/// # Errors
/// When one of them isn't there.
pub fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}
