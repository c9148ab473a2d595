//! Both ends of a fifo: one for the program, and one that the shim keeps.
//!
//! Whoever attaches to a container's streams may go and come back. Meanwhile the fifo must have another end, or a program
//! that writes is killed, and one that reads has read everything.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::Errno;

/// An end for the program, and its opposite, if it needs one.
pub(super) struct Ends {
    pub(super) own: OwnedFd,
    pub(super) opposite: Option<OwnedFd>,
}

const USUAL: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY);

/// What a program reads from.
///
/// # Errors
/// It can't be opened.
pub(super) fn for_reading(path: &Path) -> Result<Ends, Errno> {
    // Nobody may have opened it for writing yet, and nobody is waited for.
    let own = open(path, OFlags::RDONLY | OFlags::NONBLOCK | USUAL, Mode::empty())?;
    let opposite = match is_fifo(&own)? {
        true => Some(open(path, OFlags::WRONLY | OFlags::NONBLOCK | USUAL, Mode::empty())?),
        false => None,
    };
    set_waiting(&own, true)?;
    Ok(Ends { own, opposite })
}

/// What a program writes to.
///
/// # Errors
/// It can't be opened.
pub(super) fn for_writing(path: &Path) -> Result<Ends, Errno> {
    let opposite = open(path, OFlags::RDONLY | OFlags::NONBLOCK | USUAL, Mode::empty())?;
    if is_fifo(&opposite)? {
        // There is a reader now, so this doesn't wait for one.
        let own = open(path, OFlags::WRONLY | USUAL, Mode::empty())?;
        return Ok(Ends { own, opposite: Some(opposite) });
    }
    let own = open(path, OFlags::WRONLY | OFlags::APPEND | USUAL, Mode::empty())?;
    Ok(Ends { own, opposite: None })
}

/// Has reads and writes wait, or not.
///
/// # Errors
/// The kernel refuses.
pub(super) fn set_waiting(end: &OwnedFd, waits: bool) -> Result<(), Errno> {
    let mut flags = fcntl_getfl(end)?;
    flags.set(OFlags::NONBLOCK, !waits);
    fcntl_setfl(end, flags)
}

fn is_fifo(file: &OwnedFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Fifo)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustix::fs::{CWD, mknodat};
    use rustix::io::{read, write};

    use super::*;

    fn fifo(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("shim-fifo-{}-{name}", std::process::id()));
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    #[test]
    fn a_reader_may_go_and_come_back() {
        let path = fifo("out");
        let program = for_writing(&path).unwrap();
        let client = || open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        drop(client());
        write(&program.own, b"still here").unwrap();
        let back = client();
        let mut heard = [0; 16];
        assert_eq!(read(&back, &mut heard), Ok(10));
        drop(program);
        assert_eq!(read(&back, &mut heard), Ok(0), "the end is seen when the program and the shim let go");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_writer_may_go_until_the_input_is_closed() {
        let path = fifo("in");
        let Ends { own, opposite } = for_reading(&path).unwrap();
        drop(open(&path, OFlags::WRONLY, Mode::empty()).unwrap());
        set_waiting(&own, false).unwrap();
        assert_eq!(read(&own, &mut [0; 4]), Err(Errno::AGAIN));
        drop(opposite);
        assert_eq!(read(&own, &mut [0; 4]), Ok(0));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn files_need_no_other_end() {
        let path = std::env::temp_dir().join(format!("shim-file-{}", std::process::id()));
        std::fs::write(&path, "a").unwrap();
        let ends = for_writing(&path).unwrap();
        write(&ends.own, b"b").unwrap();
        assert!(ends.opposite.is_none() && for_reading(&path).unwrap().opposite.is_none());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ab");
        std::fs::remove_file(&path).unwrap();
    }
}
