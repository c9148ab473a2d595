//! The directory of one container, while its lock is held.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{AtFlags, FlockOperation, Mode, RawDir, chmodat, fchmod, flock, mkdirat, renameat, statat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use super::end::End;
use super::file::{self, absent, unlink};
use super::record::{Intent, Record, Resources, VERSION};
use super::root::StateRoot;
use crate::error::{Context, Result};
use crate::notify;
use crate::spec::{ContainerId, Spec};

const INTENT: &str = "intent.json";
/// The intent is removed last.
const LAST: &CStr = c"intent.json";
pub(super) const STATE: &str = "state.json";
/// The record before it is shown.
const UNPUBLISHED: &str = "state.json.new";
pub(super) const CONFIG: &str = "config.json";
const RESOURCES: &str = "resources.json";
/// The resources before they hold.
const UNPUBLISHED_RESOURCES: &str = "resources.json.new";
pub(super) const END: &str = "exit.json";
const START: &str = "start.sock";
/// What of the state directory the program can see.
pub(super) const NOTIFY: &str = "notify";

/// A container's directory, locked: until this is dropped, no other command changes the container.
#[derive(Debug)]
pub struct Entry {
    root: StateRoot,
    id: ContainerId,
    /// The lock belongs to this descriptor and ends with it.
    dir: OwnedFd,
}

/// A container's directory while other commands may change it. It stays this container's, whoever makes another one of
/// the same name.
#[derive(Debug)]
pub struct Unlocked(Entry);

impl Unlocked {
    /// Locks it again, waiting for other commands to end ([`StateRoot::with_patience`]). `None` if the container was
    /// removed meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Busy`].
    pub fn lock(self) -> Result<Option<Entry>> {
        let patience = self.0.root.patience();
        self.0.root.locked(self.0.id, self.0.dir, patience)
    }
}

impl Entry {
    pub(super) fn new(root: StateRoot, id: ContainerId, dir: OwnedFd) -> Self {
        Entry { root, id, dir }
    }

    /// Lets other commands at the container, and keeps hold of its directory.
    ///
    /// # Errors
    /// None that are known.
    pub fn unlock(self) -> Result<Unlocked> {
        flock(&self.dir, FlockOperation::Unlock)
            .doing(|| format!("cannot unlock {}", self.path().display()))?;
        Ok(Unlocked(self))
    }

    /// The container.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Who makes and controls it.
    pub fn owner(&self) -> u32 {
        self.root.owner()
    }

    /// The state directory that it is in.
    pub(crate) fn root(&self) -> &StateRoot {
        &self.root
    }

    /// The directory's path, for people.
    pub fn path(&self) -> PathBuf {
        self.root.place(&self.id)
    }

    /// Whether nobody has begun to make a container here.
    pub(super) fn is_new(&self) -> Result<bool> {
        let mut space = [MaybeUninit::uninit(); 256];
        let mut entries = RawDir::new(&self.dir, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry.doing(|| format!("cannot look at {}", self.path().display()))?;
            if ![c".", c".."].contains(&entry.file_name()) {
                return Ok(false);
            }
            // The kernel tells as many at once as there is room for.
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(true)
    }

    /// Writes down what is about to be made. A killed writer may leave half of it: then nothing was made yet.
    ///
    /// # Errors
    /// The file can't be written; `EILSEQ` if a path in it isn't UTF-8.
    pub fn write_intent(&self, intent: &Intent) -> Result<()> {
        file::write_json(self.dir.as_fd(), INTENT, intent, &self.path())
    }

    /// What was about to be made. `None`: nothing yet, so there is nothing to remove but this directory.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`]; or the file can't be read.
    pub fn intent(&self) -> Result<Option<Intent>> {
        file::read_json(self.dir.as_fd(), INTENT, &self.id, &self.path())
    }

    /// Writes down what is being made; nobody sees it yet.
    ///
    /// # Errors
    /// The file can't be written; `EILSEQ` if a path in it isn't UTF-8.
    pub fn prepare_record(&self, record: &Record) -> Result<()> {
        file::write_json(self.dir.as_fd(), UNPUBLISHED, record, &self.path())
    }

    /// Shows what was written down: from here on, the container exists for every command.
    ///
    /// # Errors
    /// Nothing was written down, or the file can't be renamed.
    pub fn publish_record(&self) -> Result<()> {
        renameat(&self.dir, UNPUBLISHED, &self.dir, STATE)
            .doing(|| format!("cannot make {}", self.path().join(STATE).display()))
    }

    /// Both at once.
    ///
    /// # Errors
    /// As above.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        self.prepare_record(record)?;
        self.publish_record()
    }

    /// What was made. `None`: the container isn't finished.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`]; or the file can't be read.
    pub fn record(&self) -> Result<Option<Record>> {
        file::read_json(self.dir.as_fd(), STATE, &self.id, &self.path())
    }

    /// Keeps how the container ended, whoever reads it meanwhile.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_end(&self, end: &End) -> Result<()> {
        file::publish_json(self.dir.as_fd(), END, end, &self.path())
    }

    /// How the container ended. `None`: nobody has seen it.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`]; or the file can't be read.
    pub fn end(&self) -> Result<Option<End>> {
        file::read_json(self.dir.as_fd(), END, &self.id, &self.path())
    }

    /// Keeps the bundle's config.json, byte by byte. Nobody reads it before the record says that the container exists.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_config(&self, config: &[u8]) -> Result<()> {
        let written = file::write(self.dir.as_fd(), CONFIG, config);
        written.doing(|| format!("cannot write {}", self.path().join(CONFIG).display()))
    }

    /// The config.json that the container was made from.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn config(&self) -> Result<Option<Vec<u8>>> {
        let content = file::read(self.dir.as_fd(), CONFIG);
        content.doing(|| format!("cannot read {}", self.path().join(CONFIG).display()))
    }

    /// Writes down resources that are about to be set; nobody sees them yet.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn prepare_resources(&self, resources: &LinuxResources) -> Result<()> {
        let document = Resources { version: VERSION, id: self.id.clone(), resources: resources.clone() };
        file::write_json(self.dir.as_fd(), UNPUBLISHED_RESOURCES, &document, &self.path())
    }

    /// Shows the resources that were written down: from here on they are the container's.
    ///
    /// # Errors
    /// Nothing was written down, or the file can't be renamed.
    pub fn publish_resources(&self) -> Result<()> {
        renameat(&self.dir, UNPUBLISHED_RESOURCES, &self.dir, RESOURCES)
            .doing(|| format!("cannot make {}", self.path().join(RESOURCES).display()))
    }

    /// The container's resources: as they were set last, or as config.json has them.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`], [`crate::Error::Config`]; or a file can't be read.
    pub fn resources(&self) -> Result<LinuxResources> {
        let changed: Option<Resources> =
            file::read_json(self.dir.as_fd(), RESOURCES, &self.id, &self.path())?;
        if let Some(changed) = changed {
            return Ok(changed.resources);
        }
        let spec = Spec::parse(self.config()?.unwrap_or_default())?;
        let linux = spec.oci().linux().as_ref();
        Ok(linux.and_then(|linux| linux.resources().clone()).unwrap_or_default())
    }

    /// Makes the socket on which init waits for `start`. While it exists, the container is `created`. Only the
    /// owner's processes can connect to it.
    ///
    /// # Errors
    /// It exists already, or can't be made.
    pub fn listen(&self) -> Result<OwnedFd> {
        let doing = || format!("cannot make {}", self.path().join(START).display());
        let socket = self.socket(SocketFlags::empty()).doing(doing)?;
        // The socket's file inherits this mode, as far as the umask lets it.
        fchmod(&socket, Mode::from_raw_mode(0o600)).doing(doing)?;
        bind(&socket, &self.start_address().doing(doing)?).doing(doing)?;
        listen(&socket, 1).doing(doing)?;
        Ok(socket)
    }

    /// Makes the directory in which the program finds a socket to tell its readiness to.
    ///
    /// # Errors
    /// It can't be made.
    pub(crate) fn make_notify_directory(&self) -> Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        mkdirat(&self.dir, NOTIFY, mode)
            .and_then(|()| chmodat(&self.dir, NOTIFY, mode, AtFlags::empty()))
            .doing(|| format!("cannot make {}", self.path().join(NOTIFY).display()))
    }

    /// That directory, without the socket of a command that was cut short.
    ///
    /// # Errors
    /// It can't be opened.
    pub(crate) fn notify_directory(&self) -> Result<OwnedFd> {
        let directory = file::directory(self.dir.as_fd(), NOTIFY).and_then(|directory| {
            unlink(directory.as_fd(), notify::SOCKET, AtFlags::empty()).map(|()| directory)
        });
        directory.doing(|| format!("cannot open {}", self.path().join(NOTIFY).display()))
    }

    /// Connects to the waiting init; `None` if nobody waits. The connection doesn't block: poll it together with the
    /// init process.
    ///
    /// # Errors
    /// The socket can't be connected; `EAGAIN` if init doesn't take the connections that it has.
    pub fn connect(&self) -> Result<Option<OwnedFd>> {
        let doing = || format!("cannot connect to {}", self.path().join(START).display());
        let socket = self.socket(SocketFlags::NONBLOCK).doing(doing)?;
        match connect(&socket, &self.start_address().doing(doing)?) {
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            connected => connected.doing(doing).map(|()| Some(socket)),
        }
    }

    /// Whether the start socket is there.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn awaits_start(&self) -> Result<bool> {
        has_start_socket(self.dir.as_fd(), &self.path())
    }

    /// Removes the start socket: the container is no longer `created`.
    ///
    /// # Errors
    /// It can't be removed. That it is missing is no error.
    pub fn withdraw_start_socket(&self) -> Result<()> {
        let removed = unlink(self.dir.as_fd(), START, AtFlags::empty());
        removed.doing(|| format!("cannot remove {}", self.path().join(START).display()))
    }

    /// Removes the directory with all that is in it; the intent goes last, so that a removal which is cut short can
    /// be done again.
    ///
    /// # Errors
    /// Something can't be removed. That something is missing is no error.
    pub fn remove(self) -> Result<()> {
        let removed = match self.remove_usual() {
            Err(Errno::NOTEMPTY) => {
                file::empty(self.dir.as_fd(), LAST).and_then(|()| self.root.remove(&self.id))
            }
            removed => removed,
        };
        removed.doing(|| format!("cannot remove {}", self.path().display()))
    }

    /// Nearly always there are these files and no others; if there are, the intent was not needed any more.
    fn remove_usual(&self) -> rustix::io::Result<()> {
        [STATE, CONFIG, INTENT]
            .into_iter()
            .try_for_each(|name| unlink(self.dir.as_fd(), name, AtFlags::empty()))?;
        self.root.remove(&self.id)
    }

    fn socket(&self, flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags | SocketFlags::CLOEXEC, None)
    }

    // There is no bindat, and an address holds 108 bytes: the directory's descriptor makes up for both.
    fn start_address(&self) -> rustix::io::Result<SocketAddrUnix> {
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{START}", self.dir.as_raw_fd()))
    }
}

pub(super) fn has_start_socket(dir: BorrowedFd<'_>, path: &Path) -> Result<bool> {
    let found = absent(statat(dir, START, AtFlags::SYMLINK_NOFOLLOW));
    found.doing(|| format!("cannot look at {}", path.join(START).display())).map(|found| found.is_some())
}
