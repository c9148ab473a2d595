//! The real procfs: what is written there takes effect, and what is read there is true.
//!
//! The caller's `/proc` may be something else, have something else mounted in it, or be that of another pid namespace,
//! where our numbers are other processes. A label or a map that is written to a decoy is lost without a word, or is
//! turned into a write to something else (CVE-2019-16884, CVE-2025-52881).

mod caller;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, SeekFrom, StatxFlags, openat, openat2, statx};
use rustix::io::{Errno, Result as Answer};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::getpid;

use crate::error::{Context, Error, Result};
use crate::step::Namespace;
use crate::sys::text;

pub(crate) use caller::Caller;

/// The magic number of procfs.
pub(crate) const MAGIC: rustix::fs::FsWord = 0x9fa0;

/// The inode of its root, which no other directory of it has.
const ROOT_INODE: u64 = 1;

/// A directory of a procfs. What is opened below it lies in its mount: nothing can be in between.
struct Directory(OwnedFd);

impl Directory {
    /// The caller's `/proc`, if it is one of our pid namespace.
    fn of_caller() -> Answer<Self> {
        let Directory(root) = Self::open_at(CWD, "/proc")?;
        let is_procfs =
            rustix::fs::fstatfs(&root)?.f_type == MAGIC && rustix::fs::fstat(&root)?.st_ino == ROOT_INODE;
        let myself = rustix::fs::readlinkat(&root, "self", Vec::new())?;
        let is_ours = myself.to_bytes() == getpid().as_raw_nonzero().to_string().as_bytes();
        if is_procfs && is_ours { Ok(Directory(root)) } else { Err(Errno::NODEV) }
    }

    /// One that has to be looked at.
    fn open_at(above: impl AsFd, name: &str) -> Answer<Self> {
        openat(above, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Directory)
    }

    /// One that is mounted nowhere: nobody can have mounted anything in it. It takes privileges.
    fn of_our_own() -> Answer<Self> {
        let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Directory)
    }

    /// Opens a path below it, which neither a link nor a mount may lead away.
    fn open(&self, path: &str, flags: OFlags) -> Answer<OwnedFd> {
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), rules) {
            Err(Errno::NOSYS | Errno::PERM) => self.walk(path, flags),
            answer => answer,
        }
    }

    /// The same without `openat2`, name by name.
    fn walk(&self, path: &str, flags: OFlags) -> Answer<OwnedFd> {
        let (mut above, mut rest) = (None, path);
        while let Some((name, below)) = rest.split_once('/') {
            above = Some(self.step(above.as_ref(), name, OFlags::PATH | OFlags::DIRECTORY)?);
            rest = below;
        }
        self.step(above.as_ref(), rest, flags)
    }

    fn step(&self, above: Option<&OwnedFd>, name: &str, flags: OFlags) -> Answer<OwnedFd> {
        let directory = above.unwrap_or(&self.0);
        let found = openat(directory, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if same_mount(&self.0, "", &found, "")? { Ok(found) } else { Err(Errno::XDEV) }
    }

    /// A namespace of a process: a link that leads out of the file system, but itself lies in it.
    fn namespace(&self, pid: u32, name: &str) -> Answer<OwnedFd> {
        let directory = self.open(&format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY)?;
        if !same_mount(&self.0, "", &directory, name)? {
            return Err(Errno::XDEV);
        }
        openat(&directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}

/// Whether both lie in one mount.
fn same_mount(one: &OwnedFd, name: &str, other: &OwnedFd, other_name: &str) -> Answer<bool> {
    let look = |directory: &OwnedFd, name: &str| {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let found = statx(directory, name, flags, StatxFlags::MNT_ID)?;
        // KERNEL(5.8): older ones tell the file system, not the mount.
        let knows = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Ok((knows.then_some(found.stx_mnt_id), found.stx_dev_major, found.stx_dev_minor))
    };
    Ok(look(one, name)? == look(other, other_name)?)
}

/// Does something in the caller's `/proc`, or in one of our own if that one is not to be trusted or says no.
fn anywhere<T>(act: impl Fn(&Directory) -> Answer<T>) -> Answer<T> {
    let first = Directory::of_caller().and_then(|root| act(&root));
    first.or_else(|errno| Directory::of_our_own().map_err(|_| errno).and_then(|root| act(&root)))
}

/// Writes a file of the process's directory, in one write. The process is ours and not reaped, so its id can't have
/// become another's.
///
/// Then it is read: what was written is there, in the kernel's own spacing, or something is wrong.
pub(crate) fn write(pid: u32, name: &str, text: &str) -> Result<()> {
    let doing = || format!("cannot write /proc/{pid}/{name}");
    let file = anywhere(|root| root.open(&format!("{pid}/{name}"), OFlags::RDWR)).doing(doing)?;
    let written = rustix::io::write(&file, text.as_bytes()).doing(doing)?;
    rustix::fs::seek(&file, SeekFrom::Start(0)).doing(doing)?;
    let found = text::whole(&file).doing(doing)?;
    if written == text.len() && found.split_whitespace().eq(text.split_whitespace()) {
        return Ok(());
    }
    Err(Error::Died(format!("/proc/{pid}/{name} does not say what was written to it, but {found:?}")))
}

/// Reads a file of the process's directory.
pub(crate) fn read(pid: u32, name: &str) -> Result<String> {
    let file = anywhere(|root| root.open(&format!("{pid}/{name}"), OFlags::RDONLY));
    file.and_then(text::whole).doing(|| format!("cannot read /proc/{pid}/{name}"))
}

/// Opens a namespace of a process.
pub(crate) fn namespace(pid: u32, kind: Namespace) -> Result<OwnedFd> {
    let name = file_name(kind);
    anywhere(|root| root.namespace(pid, name)).doing(|| format!("cannot open /proc/{pid}/ns/{name}"))
}

/// The name of a namespace in `/proc/PID/ns`.
fn file_name(kind: Namespace) -> &'static str {
    match kind {
        Namespace::User => "user",
        Namespace::Mount => "mnt",
        Namespace::Pid => "pid",
        Namespace::Network => "net",
        Namespace::Ipc => "ipc",
        Namespace::Uts => "uts",
        Namespace::Cgroup => "cgroup",
        Namespace::Time => "time",
    }
}

/// Sets how willingly the kernel kills the process when memory runs out.
pub(crate) fn write_oom_score_adj(pid: u32, score: i32) -> Result<()> {
    write(pid, "oom_score_adj", &score.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Directory> {
        // Only the privileged get one of their own.
        [Directory::of_caller(), Directory::of_our_own()].into_iter().flatten().collect()
    }

    fn own_pid() -> u32 {
        std::process::id()
    }

    #[test]
    fn both_ways_lead_to_the_same_files() {
        assert!(!all().is_empty());
        for root in all() {
            let path = format!("{}/attr", own_pid());
            let inode = |found: Answer<OwnedFd>| rustix::fs::fstat(found.unwrap()).unwrap().st_ino;
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            assert_eq!(inode(root.open(&path, flags)), inode(root.walk(&path, flags)));
            assert_eq!(root.open("self/attr", flags).unwrap_err(), Errno::LOOP);
            assert!(root.walk("self/attr", flags).is_err());
            assert!(root.open(&format!("{}/cwd", own_pid()), OFlags::RDONLY).is_err());
            assert!(root.walk(&format!("{}/cwd", own_pid()), OFlags::RDONLY).is_err());
        }
    }

    #[test]
    fn namespaces_are_those_of_the_process() {
        let inode = |found: OwnedFd| rustix::fs::fstat(&found).unwrap().st_ino;
        let ours = std::fs::File::open("/proc/self/ns/uts").unwrap().into();
        let theirs = namespace(own_pid(), Namespace::Uts).unwrap();
        assert_eq!(inode(theirs), inode(ours));
    }

    #[test]
    fn what_is_written_takes_effect() {
        let before = read(own_pid(), "oom_score_adj").unwrap();
        write_oom_score_adj(own_pid(), before.trim().parse().unwrap()).unwrap();
        assert_eq!(read(own_pid(), "oom_score_adj").unwrap(), before);
        assert!(write(own_pid(), "oom_score_adj", "x").is_err());
    }

    /// Runs a test of this program once more, in a mount namespace of its own that a script has prepared; `$$` is the
    /// process id that it has.
    pub(super) fn again(name: &str, script: &str) {
        let me = std::env::current_exe().unwrap();
        let name = format!("procfs::{name}");
        let script = format!("{script} && exec \"$@\"");
        let all = ["--mount", "sh", "-c", &script, "sh", me.to_str().unwrap(), "--exact", &name];
        let output = std::process::Command::new("unshare").args(all).env("PREPARED", "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_decoy_gets_nothing() {
        if std::env::var_os("PREPARED").is_none() {
            let decoy = std::env::temp_dir().join(format!("decoy-of-{}", std::process::id()));
            for place in ["/proc/$$/oom_score_adj", "/proc"] {
                let (file, directory) = (decoy.join("oom_score_adj"), decoy.join("x"));
                std::fs::create_dir_all(&directory).unwrap();
                std::fs::write(&file, "777").unwrap();
                let source = if place == "/proc" { &decoy } else { &file };
                again("tests::a_decoy_gets_nothing", &format!("mount --bind {} {place}", source.display()));
                assert_eq!(std::fs::read_to_string(&file).unwrap(), "777", "{place}");
                std::fs::remove_dir_all(&decoy).unwrap();
            }
            return;
        }
        let before = read(own_pid(), "oom_score_adj").unwrap();
        assert_ne!(before.trim(), "777");
        write_oom_score_adj(own_pid(), 555).unwrap();
        assert_eq!(read(own_pid(), "oom_score_adj").unwrap().trim(), "555");
    }
}
