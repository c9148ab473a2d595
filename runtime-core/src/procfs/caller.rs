//! What procfs says about the thread that asks.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, OFlags, fstatfs};
use rustix::io::{Errno, Result as Answer};
use rustix::thread::gettid;

use super::{Directory, MAGIC};
use crate::error::{Context, Result};
use crate::sys::text;

/// The directory of a thread of ours in a procfs: what is read below it is about that thread.
pub(crate) struct Caller {
    directory: Directory,
    status: String,
}

const OURSELVES: &str = "thread-self";

impl Caller {
    /// Looks at the calling thread: in the caller's `/proc`, or in one of our own if something else is there.
    ///
    /// # Errors
    /// There is neither.
    pub(crate) fn look() -> Result<Self> {
        let ours =
            |errno| Directory::of_our_own().map_err(|_| errno).and_then(|root| Self::at(&root.0, OURSELVES));
        let doing = || "cannot learn from /proc about ourselves (is a procfs mounted there?)".into();
        Self::at(CWD, "/proc/thread-self").or_else(ours).doing(doing)
    }

    /// Whether a directory is that of the calling thread is said by the file of it that is read anyhow. Its procfs may
    /// be that of another pid namespace, where we have another number; the last one is that of our own.
    fn at(above: impl AsFd, name: &str) -> Answer<Self> {
        let directory = Directory::open_at(above, name)?;
        if fstatfs(&directory.0)?.f_type != MAGIC {
            return Err(Errno::NODEV);
        }
        let status = directory.open("status", OFlags::RDONLY).and_then(text::short)?;
        let own = gettid().as_raw_pid();
        if innermost_number(&status) == Some(own) {
            Ok(Caller { directory, status })
        } else {
            Err(Errno::NODEV)
        }
    }

    /// The file `status`.
    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// A file whose whole content is made at once.
    pub(crate) fn read(&self, name: &str) -> Result<String> {
        self.file(name, text::short)
    }

    /// A file that is made piece by piece, as tables are.
    pub(crate) fn read_table(&self, name: &str) -> Result<String> {
        self.file(name, text::whole)
    }

    fn file(&self, name: &str, read: impl Fn(OwnedFd) -> Answer<String>) -> Result<String> {
        let text = self.directory.open(name, OFlags::RDONLY).and_then(read);
        text.doing(|| format!("cannot read /proc/{OURSELVES}/{name}"))
    }
}

/// KERNEL(4.1): the line.
fn innermost_number(status: &str) -> Option<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::tests::again;

    #[test]
    fn the_number_is_the_one_of_the_innermost_namespace() {
        assert_eq!(innermost_number("Name:\tx\nPid:\t7\nNSpid:\t7\t3\t1\n"), Some(1));
        assert_eq!(innermost_number("Name:\tx\nPid:\t7\n"), None);
    }

    #[test]
    fn each_thread_sees_itself() {
        let look = || innermost_number(Caller::look().unwrap().status());
        let other = std::thread::spawn(look).join().unwrap();
        assert!(other.is_some() && look().is_some() && other != look());
    }

    #[test]
    fn decoys_say_nothing() {
        if std::env::var_os("PREPARED").is_none() {
            let decoy = std::env::temp_dir().join(format!("decoy-status-of-{}", std::process::id()));
            std::fs::write(&decoy, "NSpid:\t1\nCapBnd:\t0\n").unwrap();
            // Threads come later, and lie below the directory of the process.
            let name = "caller::tests::decoys_say_nothing";
            for place in ["/proc/$$/task", "/proc/$$", "/proc"] {
                again(name, &format!("mount --bind /proc/1 {place}"));
            }
            again(name, "mount -t tmpfs none /proc");
            again(name, &format!("mount --bind {} /proc/$$/status", decoy.display()));
            std::fs::remove_file(&decoy).unwrap();
            return;
        }
        let caller = Caller::look().unwrap();
        assert!(!caller.status().contains("CapBnd:\t0\n"));
        let own = gettid().as_raw_pid();
        assert_eq!(innermost_number(caller.status()), Some(own));
        assert!(caller.read_table("mountinfo").unwrap().lines().count() > 1);
    }
}
