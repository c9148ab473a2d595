//! The standard streams, which come from the caller.

use core::mem::ManuallyDrop;

use crate::fault::{Fault, Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Errno, Fd, Status, file_type, open};

const NULL: (u32, u32) = (1, 3);

/// The user owns them where that is possible, so that opening /dev/stdout works. The null device stays who it is, and is
/// the container's own one from here on.
pub fn take(uid: u32, own_null: bool) -> Outcome {
    let mut null = None;
    (0..3).try_for_each(|number| {
        // It stays open, however few may.
        let stream = ManuallyDrop::new(Fd::own(number));
        let status = sys::status(&stream).of(Call::Stat)?;
        match is_null(&status) {
            false => give(&stream, &status, uid),
            true if own_null => become_null(&mut null, number as u32),
            true => Ok(()),
        }
    })
}

/// One null device does for all.
fn become_null(null: &mut Option<Fd>, number: u32) -> Outcome {
    let opened = match null.take() {
        Some(opened) => opened,
        None => open_null()?,
    };
    sys::duplicate(null.insert(opened), number).of(Call::Dup)
}

/// Where a mapping, a mount or the kind of file forbids it, things stay as they are.
fn give(stream: &Fd, status: &Status, uid: u32) -> Outcome {
    if status.uid == uid {
        return Ok(());
    }
    match sys::set_owner(stream, uid) {
        Err(Errno::PERM | Errno::ROFS | Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        answer => answer.of(Call::Chown),
    }
}

fn open_null() -> Outcome<Fd> {
    // Whatever lies there instead, it is not followed, and does not become the controlling terminal.
    let flags = open::READ_WRITE | open::NOFOLLOW | open::NO_TERMINAL;
    let null = sys::openat(sys::HERE, c"/dev/null", flags, 0).of(Call::Open)?;
    if is_null(&sys::status(&null).of(Call::Stat)?) {
        Ok(null)
    } else {
        Err(Fault::new(Call::RightNode, Errno::INVAL))
    }
}

fn is_null(status: &Status) -> bool {
    status.file_type() == file_type::CHARACTER && (status.device_major, status.device_minor) == NULL
}
