//! Compiled filters, kept by content below the state root.
//!
//! A file holds the whole key beside the program, so its name is only a hint: profiles whose hashes collide evict each
//! other, and are never mistaken for each other. A file that is not exactly what this program would write is not
//! there; a cache that can't be written is none.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::compile::MAX_INSTRUCTIONS;
use super::numbers;
use super::profile::Profile;
use crate::error::Result;
use crate::publish::publish;

/// Changes with the file's format, and with what this program compiles a profile to.
const FORMAT: u64 = 0x7365_6363_6f6d_0001;
/// The size of a `struct sock_filter`.
const INSTRUCTION: usize = 8;
/// How many files there may be; each is a few dozen KB.
const CAPACITY: usize = 256;
/// The format, the lengths of key and program, and a checksum of both.
const HEADER: usize = 4 * size_of::<u64>();
/// Far more than any profile needs.
const MAX_FILE: u64 = 1 << 24;

/// The programs of all `profiles`, in their order; see [`load`].
///
/// # Errors
/// Those of [`Profile::compile`].
pub fn load_all(profiles: &[Profile], directory: &Path) -> Result<Vec<Vec<u8>>> {
    profiles.iter().map(|profile| load(profile, directory)).collect()
}

/// The profile's program, from `directory` or, when it is not there, compiled and put there. The directory and its
/// parent are made when they are missing; nobody else should be able to write to them.
///
/// # Errors
/// Those of [`Profile::compile`]. The cache causes none.
pub fn load(profile: &Profile, directory: &Path) -> Result<Vec<u8>> {
    let key = key(profile);
    let name = format!("{:016x}", hash(&[&key]));
    if let Some(program) = find(&key, &directory.join(&name)) {
        return Ok(program);
    }
    let program = profile.compile()?;
    // A full disk or a read-only root costs time, not the container.
    let _ = store(&key, &program, directory, &name);
    Ok(program)
}

/// Everything that the program depends on.
fn key(profile: &Profile) -> Vec<u8> {
    let mut key = Key(Vec::with_capacity(8192));
    (FORMAT, numbers::version()).hash(&mut key);
    profile.hash(&mut key);
    key.0
}

/// Collects what a value would be hashed from. `Hash` asks that unequal values differ there and that none is another's
/// beginning, which is all that a key needs; and a field can't be forgotten.
struct Key(Vec<u8>);

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        hash(&[&self.0])
    }
}

// Its result may change with the compiler's version, which makes old files misses.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

fn header(key: &[u8], program: &[u8]) -> [u8; HEADER] {
    let words = [FORMAT, key.len() as u64, program.len() as u64, hash(&[key, program])];
    let mut header = [0; HEADER];
    for (place, word) in header.chunks_exact_mut(size_of::<u64>()).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    header
}

fn find(key: &[u8], path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let size = size_if_ours(&rustix::fs::fstat(&file).ok()?)?;
    let mut content = Vec::with_capacity(size + 1);
    File::from(file).read_to_end(&mut content).ok()?;
    let (head, body) = content.split_at_checked(HEADER)?;
    let (found, program) = body.split_at_checked(key.len())?;
    let sound = found == key && head == header(key, program) && is_program(program);
    sound.then(|| program.to_vec())
}

/// The file's size, if nobody but this user can have written it.
fn size_if_ours(stat: &Stat) -> Option<usize> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let private = stat.st_mode & (Mode::WGRP | Mode::WOTH).bits() == 0;
    let own = stat.st_uid == rustix::process::geteuid().as_raw();
    let size = u64::try_from(stat.st_size).ok().filter(|size| *size <= MAX_FILE)?;
    (regular && private && own).then_some(size as usize)
}

fn is_program(bytes: &[u8]) -> bool {
    bytes.len().is_multiple_of(INSTRUCTION) && (1..=MAX_INSTRUCTIONS).contains(&(bytes.len() / INSTRUCTION))
}

fn store(key: &[u8], program: &[u8], directory: &Path, name: &str) -> std::io::Result<()> {
    let directory = open_or_make(directory)?;
    let content = [&header(key, program), key, program];
    publish(directory.as_fd(), name.as_ref(), Mode::RUSR | Mode::WUSR, &content)?;
    evict(&directory)
}

fn open_or_make(directory: &Path) -> std::io::Result<File> {
    for missing in [directory.parent().unwrap_or(directory), directory] {
        match rustix::fs::mkdir(missing, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(directory, flags, Mode::empty())?))
}

/// Removes the oldest files beyond the capacity, drafts that a crash may have left behind among them.
fn evict(directory: &File) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW);
        if let Some(stat) =
            stat.ok().filter(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
        {
            files.push(((stat.st_mtime, stat.st_mtime_nsec), name));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(CAPACITY);
    for (_, name) in files.iter().take(surplus) {
        rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    }
    Ok(())
}
