//! The program's terminal, from a devpts inside the root.
//!
//! The root may be hostile: another file system on /dev/pts, a link or a node in the place of its devices. A devpts holds
//! nothing that anybody made, so a look at the file system is a look at all of it; and its other side is asked for by
//! descriptor, never by path (CVE-2025-52565).

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::mounts;
use crate::paths::Root;
use crate::step::{Call, Resolve};
use crate::sys::{self, Answer, Errno, Fd, PROC_MAGIC, PTS_MAGIC, file_type, open, resolve};

const CONSOLE: &CStr = c"console";
const STANDARD_STREAMS: u32 = 3;

/// The device behind which the masters are.
const PTMX: (u32, u32) = (5, 2);

/// Makes standard input the controlling terminal of this session.
pub fn control() -> Outcome {
    sys::control_session(&Fd::own(0)).of(Call::Ioctl)
}

/// Opens a terminal, makes it the standard streams, and answers its master.
pub fn open(root: &Root, rows: u32, columns: u32, owner: u32, console: bool) -> Outcome<Fd> {
    let master = open_master(root)?;
    sys::unlock_terminal(&master).of(Call::Ioctl)?;
    sys::set_window_size(&master, rows as u16, columns as u16).of(Call::Ioctl)?;
    let terminal = sys::open_peer(&master).of(Call::Ioctl)?;
    match sys::set_owner(&terminal, owner) {
        // The devpts of another user namespace, or a read-only one. The terminal works; it just can't be opened again.
        Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => {}
        answer => answer.of(Call::Chown)?,
    }
    if console {
        cover_console(root, &terminal)?;
    }
    (0..STANDARD_STREAMS).try_for_each(|number| sys::duplicate(&terminal, number).of(Call::Dup))?;
    Ok(master)
}

fn open_master(root: &Root) -> Outcome<Fd> {
    try_open_master(root).of(Call::OpenMaster)
}

fn try_open_master(root: &Root) -> Answer<Fd> {
    let directory = root.try_open(c"/dev/pts", open::PATH | open::DIRECTORY, Resolve::InRoot)?;
    if sys::filesystem_magic(&directory)? != PTS_MAGIC {
        return Err(Errno::NODEV);
    }
    // Nothing may be mounted on it either.
    let rules = resolve::BENEATH | resolve::NO_SYMLINKS | resolve::NO_XDEV;
    let flags = open::READ_WRITE | open::NO_TERMINAL;
    match sys::openat2(directory.raw(), c"ptmx", flags, 0, rules) {
        Err(errno) if errno.is_missing_call() => {
            let master = sys::openat(directory.raw(), c"ptmx", flags | open::NOFOLLOW, 0)?;
            let status = sys::status(&master)?;
            // Were it covered, by a terminal of the same file system perhaps, it would be another device.
            let is_it = status.holder == sys::status(&directory)?.holder
                && (status.device_major, status.device_minor) == PTMX;
            if is_it { Ok(master) } else { Err(Errno::XDEV) }
        }
        answer => answer,
    }
}

/// Mounts the terminal on /dev/console. What lies there is covered, whatever it is: a link is neither followed nor
/// replaced.
fn cover_console(root: &Root, terminal: &Fd) -> Outcome {
    let directory = root.open(c"/dev", open::PATH | open::DIRECTORY, Resolve::InRoot)?;
    if sys::filesystem_magic(&directory).of(Call::Stat)? == PROC_MAGIC {
        return Err(Fault::new(Call::NotOnProc, Errno::PERM));
    }
    match sys::mknodat(&directory, CONSOLE, u32::from(file_type::REGULAR) | 0o600, 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        answer => answer.of(Call::Mknod)?,
    }
    let place = sys::openat(directory.raw(), CONSOLE, open::PATH | open::NOFOLLOW, 0).of(Call::Open)?;
    mounts::bind(terminal, &place, false).map(|_| ())
}
