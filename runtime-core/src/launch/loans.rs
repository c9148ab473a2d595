//! Parts of the host that a container gets: opened here, on the host, each as a mount that is attached nowhere yet.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::thread::CapabilitySet;

use crate::error::{ConfigError, Context, Error, Result};
use crate::plan::{Loan, LoanMapping, LoanSource, NamespaceAt};
use crate::procfs;
use crate::step::{Namespace, Propagation};
use crate::sys::errand::{self, Change};
use crate::sys::mount::set_attributes;
use crate::sys::process::{kind_of_namespace, rest};

const SYSFS: &str = "/sys";

/// Longer than the kernel takes to execute a program.
const MOMENT: Duration = Duration::from_secs(1);

/// Whether this failed for want of privileges over the host's mounts.
pub(super) fn is_up_to_root(error: &Error) -> bool {
    const SYS_ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;
    let may_mount =
        || rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(SYS_ADMIN));
    matches!(error, Error::System { errno: Errno::PERM, .. }) && !may_mount()
}

/// Opens what a loan names, with its propagation, attributes and ids.
pub(super) fn open(loan: &Loan, own_user_namespace: impl Fn() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let tree = open_tree(loan)?;
    if loan.attached {
        return Ok(tree);
    }
    for change in std::iter::once(&loan.base).chain(&loan.propagation) {
        let (flag, recursive) = propagation_flag(*change);
        set_attributes(tree.as_fd(), 0, 0, flag, None, recursive)
            .doing(|| format!("cannot make it {}", change.word()))?;
    }
    for change in &loan.attributes {
        set_attributes(tree.as_fd(), change.set, change.clear, 0, None, change.recursive)
            .map_err(attributes_refused)?;
    }
    if let Some(mapping) = &loan.mapping {
        map_ids(tree.as_fd(), mapping, own_user_namespace)?;
    }
    Ok(tree)
}

/// Makes a mount of a directory that the caller has opened, with what is mounted below.
pub(super) fn open_root(directory: BorrowedFd<'_>, propagation: Propagation) -> Result<OwnedFd> {
    let flags = tree_flags(true) | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(directory, "", flags)
        .doing(|| "cannot mount the root directory that was given".into())?;
    let (flag, recursive) = propagation_flag(propagation);
    set_attributes(tree.as_fd(), 0, 0, flag, None, recursive)
        .doing(|| format!("cannot make the root {}", propagation.word()))?;
    Ok(tree)
}

fn attributes_refused(errno: Errno) -> Error {
    let why = if errno == Errno::PERM {
        " (those that a user namespace was given can't be taken back)"
    } else {
        ""
    };
    Error::System { doing: format!("cannot set its mount attributes{why}"), errno }
}

fn open_tree(loan: &Loan) -> Result<OwnedFd> {
    let path = match &loan.source {
        LoanSource::Sysfs => return open_sysfs(),
        source => path_of(source),
    };
    let tree = match loan.attached {
        true => rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
        false => copy_tree(path, loan.recursive),
    };
    let tree = tree.doing(|| cannot_open(path))?;
    check(loan, tree.as_fd())?;
    Ok(tree)
}

/// The same, seen from the container's user and mount namespace, which are new, with our own user all the same: a source
/// that we can reach can be lent, whoever the container's root is.
pub(super) fn open_there(loan: &Loan, container: BorrowedFd<'_>) -> Result<OwnedFd> {
    if loan.mapping.is_some() {
        let doing = "cannot map its ids, which needs privileges on the host".into();
        return Err(Error::System { doing, errno: Errno::PERM });
    }
    let path = path_of(&loan.source);
    let is_sysfs = loan.source == LoanSource::Sysfs;
    let name =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL).doing(|| cannot_open(path))?;
    // In that namespace the mounts below the host's sysfs can't be left out.
    let flags = tree_flags(loan.recursive || is_sysfs);
    let changes = changes(loan, is_sysfs);
    let opened = once_visible(|| errand::open_tree_of(container, &name, flags.bits(), &changes));
    let tree = opened.map_err(|(done, errno)| {
        let doing = match (done, errno) {
            (0, _) => "cannot enter the container's user namespace".into(),
            (1, Errno::INVAL) if !loan.recursive => format!(
                "{} (in a user namespace what is mounted below it can't be left out: use rbind)",
                cannot_open(path)
            ),
            (1, _) => cannot_open(path),
            _ => "cannot set its mount attributes (what the host's mount forbids stays forbidden)".into(),
        };
        Error::System { doing, errno }
    })?;
    check(loan, tree.as_fd())?;
    Ok(tree)
}

/// A process that executes a program leaves our memory a moment before the kernel lets it be visited.
fn once_visible<T>(visit: impl Fn() -> Result<T, (u32, Errno)>) -> Result<T, (u32, Errno)> {
    let deadline = Instant::now() + MOMENT;
    loop {
        match visit() {
            Err((0, Errno::PERM)) if Instant::now() < deadline => rest(Duration::from_millis(1)),
            visited => return visited,
        }
    }
}

/// All that is changed about it, in its order.
fn changes(loan: &Loan, readonly: bool) -> Vec<Change> {
    let readonly = readonly.then(|| Change::new(libc::MOUNT_ATTR_RDONLY, 0, 0, true));
    let propagation = std::iter::once(&loan.base).chain(&loan.propagation).map(|word| {
        let (flag, recursive) = propagation_flag(*word);
        Change::new(0, 0, flag, recursive)
    });
    let attributes = loan.attributes.iter().map(|each| Change::new(each.set, each.clear, 0, each.recursive));
    readonly.into_iter().chain(propagation).chain(attributes).collect()
}

fn path_of(source: &LoanSource) -> &Path {
    match source {
        LoanSource::Path(path) | LoanSource::Cgroup(path) | LoanSource::Device { path, .. } => path,
        LoanSource::Sysfs => Path::new(SYSFS),
    }
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open {}", path.display())
}

fn tree_flags(recursive: bool) -> OpenTreeFlags {
    let recursive = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive
}

/// Whether it is what it has to be.
fn check(loan: &Loan, tree: BorrowedFd<'_>) -> Result<()> {
    let path = path_of(&loan.source);
    if loan.only_procfs && rustix::fs::fstatfs(tree).doing(|| "fstatfs".into())?.f_type != procfs::MAGIC {
        let problem = format!("only a procfs can lie on /proc, which {} is not", path.display());
        return Err(ConfigError::new("/mounts", problem).into());
    }
    match loan.source {
        LoanSource::Device { major, minor, .. } => check_device(tree, path, major, minor),
        _ => Ok(()),
    }
}

fn copy_tree(path: &Path, recursive: bool) -> rustix::io::Result<OwnedFd> {
    rustix::mount::open_tree(CWD, path, tree_flags(recursive))
}

/// The host's sysfs alone. In a user namespace its mounts can't be taken apart: then nothing below may be written to,
/// above all no cgroup (CVE-2023-25809).
fn open_sysfs() -> Result<OwnedFd> {
    let path = Path::new(SYSFS);
    let doing = || cannot_open(path);
    match copy_tree(path, false) {
        Err(Errno::INVAL) => {
            let tree = copy_tree(path, true).doing(doing)?;
            set_attributes(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, None, true).doing(doing)?;
            Ok(tree)
        }
        tree => tree.doing(doing),
    }
}

/// A device that only bears the right name is not lent.
fn check_device(tree: BorrowedFd<'_>, path: &Path, major: u32, minor: u32) -> Result<()> {
    let doing = || format!("cannot look at {}", path.display());
    let status = rustix::fs::statat(tree, "", AtFlags::EMPTY_PATH).doing(doing)?;
    let kind = FileType::from_raw_mode(status.st_mode);
    let numbers = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) && numbers == (major, minor) {
        return Ok(());
    }
    let doing = format!("{} is not the device {major}:{minor}", path.display());
    Err(Error::System { doing, errno: Errno::NODEV })
}

/// The flag of a propagation change, and whether it goes down the tree.
fn propagation_flag(change: Propagation) -> (u64, bool) {
    let flag = match change {
        Propagation::Shared | Propagation::RecursiveShared => libc::MS_SHARED,
        Propagation::Slave | Propagation::RecursiveSlave => libc::MS_SLAVE,
        Propagation::Private | Propagation::RecursivePrivate => libc::MS_PRIVATE,
        Propagation::Unbindable | Propagation::RecursiveUnbindable => libc::MS_UNBINDABLE,
    };
    (flag, change >= Propagation::RecursiveShared)
}

fn map_ids(
    tree: BorrowedFd<'_>,
    mapping: &LoanMapping,
    own_user_namespace: impl Fn() -> Result<OwnedFd>,
) -> Result<()> {
    let namespace = if mapping.uids.is_empty() && mapping.gids.is_empty() {
        own_user_namespace()?
    } else {
        super::id_maps::namespace_with(&mapping.uids, &mapping.gids)?
    };
    let id_map = libc::MOUNT_ATTR_IDMAP;
    set_attributes(tree, id_map, 0, 0, Some(namespace.as_fd()), mapping.recursive)
        .doing(|| "cannot map its ids (the file system, or the kernel, may not support that)".into())
}

/// Opens a namespace that a process is to enter. The kernel lets a process enter any that it is given: that it is of the
/// right kind is checked here, so that no other one is left out for it.
pub(super) fn open_joined(namespace: &NamespaceAt) -> Result<OwnedFd> {
    let NamespaceAt { kind, path, foreign } = namespace;
    let doing = || format!("cannot open the {} namespace {}", kind.word(), path.display());
    let open = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).doing(doing)?;
    if kind_of_namespace(open.as_fd()) != Ok(super::clone_flag(*kind)) {
        return Err(Errno::INVAL).doing(doing);
    }
    if *foreign {
        refuse_own(*kind, path, &open)?;
    }
    Ok(open)
}

/// Refuses a namespace that is our own.
fn refuse_own(kind: Namespace, path: &Path, namespace: &OwnedFd) -> Result<()> {
    let look = |namespace: &OwnedFd| {
        let doing = || format!("cannot look at the {} namespace", kind.word());
        rustix::fs::fstat(namespace).doing(doing).map(|found| (found.st_dev, found.st_ino))
    };
    if look(&procfs::namespace(std::process::id(), kind)?)? != look(namespace)? {
        return Ok(());
    }
    let problem = format!(
        "{} is the host's own {} namespace; kernel parameters of linux.sysctl can't be set in it",
        path.display(),
        kind.word()
    );
    Err(ConfigError::new("/linux/namespaces", problem).into())
}
