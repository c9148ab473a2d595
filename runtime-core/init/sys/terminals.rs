//! Terminals.

use super::arch::number;
use super::calls::{Answer, Fd, address, call, descriptor, done};
use super::files::open;

/// Lets the other side of a terminal's master be opened.
pub fn unlock_terminal(master: &Fd) -> Answer<()> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    let unlocked = 0i32;
    done(call(number::IOCTL, [master.0 as usize, TIOCSPTLCK, address(&unlocked), 0, 0, 0]))
}

/// Opens the other side of a terminal's master: that of its own file system, whatever a path says.
pub fn open_peer(master: &Fd) -> Answer<Fd> {
    const TIOCGPTPEER: usize = 0x5441;
    let flags = open::READ_WRITE | open::NO_TERMINAL | open::CLOEXEC;
    descriptor(call(number::IOCTL, [master.0 as usize, TIOCGPTPEER, flags, 0, 0, 0]))
}

/// Sets a terminal's size.
pub fn set_window_size(terminal: &Fd, rows: u16, columns: u16) -> Answer<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    done(call(number::IOCTL, [terminal.0 as usize, TIOCSWINSZ, address(&size), 0, 0, 0]))
}

/// Makes a terminal the controlling one of this session, which has none.
pub fn control_session(terminal: &Fd) -> Answer<()> {
    const TIOCSCTTY: usize = 0x540e;
    done(call(number::IOCTL, [terminal.0 as usize, TIOCSCTTY, 0, 0, 0, 0]))
}
