//! The directory of all containers.

use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, mkdirat, openat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::end::End;
use super::entry::{self, Entry};
use super::file::{self, absent, directory};
use super::record::Record;
use super::settings::Settings;
use crate::error::{Context, Error, Result};
use crate::spec::ContainerId;
use crate::sys::process::rest;

/// What can be made again. It has the form of a container's name, so no container may have it.
const CACHE: &str = ".cache";
/// The longest pause between two attempts to get a lock.
const PAUSE: Duration = Duration::from_millis(20);

/// The state directory of a user's containers. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct StateRoot(Arc<Inner>, Settings);

#[derive(Debug)]
struct Inner {
    dir: OwnedFd,
    owner: u32,
    /// For people, and for libraries that want a path.
    path: PathBuf,
}

impl StateRoot {
    /// Opens the state directory; makes it, with its parents, if it is missing.
    ///
    /// # Errors
    /// It is `/`, not a directory, a symlink, somebody else's, or everybody may write to it.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(root) = StateRoot::existing(path)? {
            return Ok(root);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .doing(|| format!("cannot make the state directory {}", path.display()))?;
        StateRoot::existing(path)?.ok_or(Errno::NOENT).doing(|| cannot_use(path, "it was removed again"))
    }

    /// Opens the state directory if there is one.
    ///
    /// # Errors
    /// As for [`StateRoot::open`].
    pub fn existing(path: &Path) -> Result<Option<Self>> {
        // Without a trailing slash, which would have the last symlink followed.
        let path: PathBuf = path.components().collect();
        if !path.components().any(|part| matches!(part, Component::Normal(_))) {
            return Err(Errno::INVAL).doing(|| cannot_use(&path, "it needs a directory of its own"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = absent(openat(CWD, &path, flags, Mode::empty()));
        let Some(dir) = dir.doing(|| cannot_use(&path, "it must be a directory"))? else { return Ok(None) };
        let stat = fstat(&dir).doing(|| cannot_use(&path, "it has no attributes"))?;
        check_owner(&stat, &path)?;
        let inner = Inner { dir, owner: stat.st_uid, path };
        Ok(Some(StateRoot(Arc::new(inner), Settings::default())))
    }

    /// Its path, for people.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Where compiled filters are kept. The directory may be missing.
    pub(crate) fn filter_cache(&self) -> PathBuf {
        match &self.1.filters {
            Some(directory) => directory.to_path_buf(),
            None => self.0.path.join(CACHE).join("seccomp"),
        }
    }

    /// Makes the directory of a new container, and locks it.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::InvalidId`] for a name that is used otherwise; [`Error::Busy`].
    pub fn create(&self, id: &ContainerId) -> Result<Entry> {
        if reserved(id) {
            return Err(Error::InvalidId(id.to_string()));
        }
        let begun = Instant::now();
        // Commands that look at the directory which was just made find it empty and go.
        while begun.elapsed() < self.patience() {
            match mkdirat(self.fd(), id.as_str(), Mode::from_raw_mode(0o711)) {
                Err(Errno::EXIST) => return Err(Error::Exists(id.to_string())),
                made => made.doing(|| format!("cannot make {}", self.place(id).display()))?,
            }
            match self.claim(id) {
                // A `delete --force` that came in between has removed it again.
                Ok(None) => {}
                Ok(Some(entry)) => return Ok(entry),
                Err(error @ (Error::Exists(_) | Error::Busy { .. })) => return Err(error),
                Err(error) => {
                    let _ = unlinkat(self.fd(), id.as_str(), AtFlags::REMOVEDIR);
                    return Err(error);
                }
            }
        }
        Err(Error::Busy { id: id.to_string(), waited: begun.elapsed() })
    }

    /// Locks a directory that was just made, unless it was removed, and made again by another creator, who had its lock
    /// first: then the container in it is that one's.
    pub(super) fn claim(&self, id: &ContainerId) -> Result<Option<Entry>> {
        match self.lock(id)? {
            Some(entry) if !entry.is_new()? => Err(Error::Exists(id.to_string())),
            entry => Ok(entry),
        }
    }

    /// Locks a container, waiting for other commands to end ([`StateRoot::with_patience`]). `None` if there is no such
    /// container, or no longer one when the wait is over.
    ///
    /// # Errors
    /// [`Error::Busy`]; or its directory can't be opened.
    pub fn lock(&self, id: &ContainerId) -> Result<Option<Entry>> {
        self.lock_within(id, self.patience())
    }

    /// The same for a command that has its own idea of how long to wait.
    pub(crate) fn lock_within(&self, id: &ContainerId, patience: Duration) -> Result<Option<Entry>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        self.clone().locked(id.clone(), dir, patience)
    }

    /// Locks a container that exists, and reads what was made.
    ///
    /// # Errors
    /// [`Error::NotFound`]; and as for [`StateRoot::lock`] and [`Entry::record`].
    pub fn lock_recorded(&self, id: &ContainerId) -> Result<(Entry, Record)> {
        let missing = || Error::NotFound(id.to_string());
        let entry = self.lock(id)?.ok_or_else(missing)?;
        let record = entry.record()?.ok_or_else(missing)?;
        Ok((entry, record))
    }

    pub(super) fn locked(self, id: ContainerId, dir: OwnedFd, patience: Duration) -> Result<Option<Entry>> {
        wait_for_lock(&dir, &id, patience)?;
        let stat = fstat(&dir).doing(|| format!("cannot look at {}", self.place(&id).display()))?;
        Ok((stat.st_nlink > 0).then(|| Entry::new(self, id, dir)))
    }

    /// A container's record, read without its lock. `None` if there is no such container, or not yet.
    ///
    /// # Errors
    /// [`Error::Damaged`]; or it can't be read.
    pub fn peek(&self, id: &ContainerId) -> Result<Option<Record>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        file::read_json(dir.as_fd(), entry::STATE, id, &self.place(id))
    }

    /// Whether there is a container with that name, which has been made.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn has(&self, id: &ContainerId) -> Result<bool> {
        let path = Path::new(id.as_str()).join(entry::STATE);
        let found = absent(statat(self.fd(), &path, AtFlags::SYMLINK_NOFOLLOW));
        let doing = || format!("cannot look at {}", self.0.path.join(&path).display());
        Ok(!reserved(id) && found.doing(doing)?.is_some())
    }

    /// A container's record, and the config.json that it was made from, seen without its lock.
    ///
    /// # Errors
    /// As for [`StateRoot::peek`].
    pub fn made(&self, id: &ContainerId) -> Result<Option<(Record, Vec<u8>)>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        let path = self.place(id);
        let Some(record) = file::read_json(dir.as_fd(), entry::STATE, id, &path)? else { return Ok(None) };
        let config = file::read(dir.as_fd(), entry::CONFIG);
        let config = config.doing(|| format!("cannot read {}", path.join(entry::CONFIG).display()))?;
        Ok(Some((record, config.unwrap_or_default())))
    }

    /// A container's record, and whether its start socket is there, seen without its lock and with one look at its
    /// directory.
    ///
    /// # Errors
    /// As for [`StateRoot::peek`].
    pub fn look(&self, id: &ContainerId) -> Result<Option<(Record, bool)>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        let path = self.place(id);
        let record = file::read_json(dir.as_fd(), entry::STATE, id, &path)?;
        let awaits_start = entry::has_start_socket(dir.as_fd(), &path)?;
        Ok(record.map(|record| (record, awaits_start)))
    }

    /// How a container ended, read without its lock. `None` if there is no such container, or nobody has seen its end.
    ///
    /// # Errors
    /// [`Error::Damaged`]; or it can't be read.
    pub fn end(&self, id: &ContainerId) -> Result<Option<End>> {
        let Some(dir) = self.directory(id)? else { return Ok(None) };
        file::read_json(dir.as_fd(), entry::END, id, &self.place(id))
    }

    /// Whether a container's start socket is there, seen without its lock.
    ///
    /// # Errors
    /// Its directory can't be read.
    pub fn awaits_start(&self, id: &ContainerId) -> Result<bool> {
        self.directory(id)?.map_or(Ok(false), |dir| entry::has_start_socket(dir.as_fd(), &self.place(id)))
    }

    /// The names of all containers, also of those that are being made or removed, in alphabetical order.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        let doing = || format!("cannot list {}", self.0.path.display());
        let mut ids = Vec::new();
        for entry in Dir::read_from(self.fd()).doing(doing)? {
            let entry = entry.doing(doing)?;
            let directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            let id = entry.file_name().to_str().ok().and_then(|name| ContainerId::new(name).ok());
            ids.extend(id.filter(|id| directory && !reserved(id)));
        }
        ids.sort();
        Ok(ids)
    }

    /// Whose it is, which is who we are.
    pub fn owner(&self) -> u32 {
        self.0.owner
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.1
    }

    pub(super) fn settings_mut(&mut self) -> &mut Settings {
        &mut self.1
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.dir.as_fd()
    }

    pub(super) fn place(&self, id: &ContainerId) -> PathBuf {
        self.0.path.join(id.as_str())
    }

    /// The directory in which a container finds the socket for its readiness, as a path.
    pub(crate) fn notify_directory(&self, id: &ContainerId) -> PathBuf {
        self.place(id).join(entry::NOTIFY)
    }

    /// Removes a container's directory, which must be empty by now.
    pub(super) fn remove(&self, id: &ContainerId) -> rustix::io::Result<()> {
        absent(unlinkat(self.fd(), id.as_str(), AtFlags::REMOVEDIR)).map(drop)
    }

    fn directory(&self, id: &ContainerId) -> Result<Option<OwnedFd>> {
        if reserved(id) {
            return Ok(None);
        }
        let dir = absent(directory(self.fd(), id.as_str()));
        dir.doing(|| format!("cannot open {}", self.place(id).display()))
    }
}

fn reserved(id: &ContainerId) -> bool {
    id.as_str() == CACHE
}

fn cannot_use(path: &Path, why: &str) -> String {
    format!("cannot use {} as the state directory: {why}", path.display())
}

// Whoever can write here decides which processes get killed.
fn check_owner(stat: &Stat, path: &Path) -> Result<()> {
    let user = geteuid().as_raw();
    let problem = match () {
        () if stat.st_uid != user => format!("it belongs to user {}, not {user}", stat.st_uid),
        () if stat.st_mode & 0o002 != 0 => "everybody may write to it".into(),
        () => return Ok(()),
    };
    Err(Errno::PERM).doing(|| cannot_use(path, &problem))
}

// The kernel offers no lock with a deadline that works without signals, so this asks again and again.
fn wait_for_lock(dir: &OwnedFd, id: &ContainerId, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match flock(dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            locked => return locked.doing(|| format!("cannot lock container {id}")),
        }
        let waited = begun.elapsed();
        if waited >= patience {
            return Err(Error::Busy { id: id.to_string(), waited });
        }
        rest(pause.min(patience - waited));
        pause = PAUSE.min(pause * 2);
    }
}
