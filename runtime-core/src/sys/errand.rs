//! A way into other namespaces without leaving one's own: a process that shares our memory and descriptors, goes there,
//! opens a tree of mounts, and ends.
//!
//! Neither a thread nor this process could go: user and mount namespaces are entered by processes with one thread alone.

use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::from_ref;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::futex;

use super::arch;
use super::process::KeepDumpable;
use super::signals;

const STACK_SIZE: usize = 8 * 1024;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

/// What it shares with us.
struct Errand<'a> {
    /// Not 0 while it is here; the kernel clears it and wakes us.
    here: AtomicU32,
    place: BorrowedFd<'a>,
    path: &'a CStr,
    flags: u32,
    changes: &'a [Change],
    /// The descriptor, or a negative errno.
    answer: AtomicI32,
    /// How many of the steps were taken: entered, opened, and one for each change.
    done: AtomicU32,
    stack: Box<MaybeUninit<Stack>>,
}

/// A `mount_setattr` of the whole that was opened.
pub(crate) struct Change {
    attributes: libc::mount_attr,
    flags: u32,
}

impl Change {
    /// Attributes to set and to clear, and the propagation (0 to leave it).
    pub(crate) fn new(set: u64, clear: u64, propagation: u64, recursive: bool) -> Self {
        let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
        let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
        Change { attributes, flags: (libc::AT_EMPTY_PATH | recursive) as u32 }
    }
}

/// Opens a tree of mounts as a process sees it that is the root of a user and a mount namespace of ours: with our own user
/// and groups, so that all can be reached that we can reach, and with the privileges there.
///
/// # Errors
/// What the kernel said, and how many of the steps had been taken: the namespaces, the opening, the changes.
pub(crate) fn open_tree_of(
    process: BorrowedFd<'_>,
    path: &CStr,
    flags: u32,
    changes: &[Change],
) -> Result<OwnedFd, (u32, Errno)> {
    let errand = Errand {
        here: AtomicU32::new(1),
        place: process,
        path,
        flags,
        changes,
        answer: AtomicI32::new(-libc::ECHILD),
        done: AtomicU32::new(0),
        stack: Box::new_uninit(),
    };
    // Whoever lives in those namespaces already must not look into our memory.
    let _hidden = KeepDumpable::hidden();
    let quiet = signals::block_all();
    let sent = send(&errand);
    drop(quiet);
    sent.map_err(|errno| (0, errno))?;
    match errand.answer.load(Ordering::Acquire) {
        // SAFETY: the kernel just made this descriptor for us; nobody else knows its number.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        errno => Err((errand.done.load(Ordering::Acquire), Errno::from_raw_os_error(-errno))),
    }
}

/// Sends it and waits for its end.
fn send(errand: &Errand<'_>) -> Result<(), Errno> {
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    let top = errand.stack.as_ptr() as usize + STACK_SIZE;
    let arguments = [flags as usize, top, 0, from_ref(&errand.here) as usize, 0];
    // SAFETY: the stack is unused, and we wait below until the process has left the memory. The older call, which filters
    // around us know too, can say all of this.
    let answer = unsafe { arch::bear(libc::SYS_clone, arguments, run, from_ref(errand) as usize) };
    let pid = i32::try_from(answer).unwrap_or(0);
    let Some(pid) = Pid::from_raw(pid.max(0)) else { return Err(Errno::from_raw_os_error(-pid)) };
    while errand.here.load(Ordering::Acquire) != 0 {
        let _ = futex::wait(&errand.here, futex::Flags::empty(), 1, None);
    }
    // An engine's own reaper may have been faster.
    let _ = waitpid(Some(pid), WaitOptions::empty());
    Ok(())
}

// Below: what runs in memory that is not its own: raw system calls and nothing else. ----------------------------------

fn call(number: i64, arguments: [usize; 5]) -> isize {
    // SAFETY: `go` passes numbers, and pointers into the shared memory, which outlives it.
    unsafe { arch::syscall(number, arguments) }
}

extern "C" fn run(errand: usize) -> ! {
    // SAFETY: our parent passed the address of an `Errand` that it keeps until we have left.
    let errand = unsafe { &*(errand as *const Errand<'_>) };
    errand.answer.store(go(errand) as i32, Ordering::Release);
    loop {
        call(libc::SYS_exit, [0; 5]);
    }
}

fn go(errand: &Errand<'_>) -> isize {
    let namespaces = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as usize;
    let entered = call(libc::SYS_setns, [errand.place.as_raw_fd() as usize, namespaces, 0, 0, 0]);
    if entered < 0 {
        return entered;
    }
    errand.done.store(1, Ordering::Release);
    let path = errand.path.as_ptr() as usize;
    let tree = call(libc::SYS_open_tree, [libc::AT_FDCWD as usize, path, errand.flags as usize, 0, 0]);
    if tree < 0 {
        return tree;
    }
    for change in errand.changes {
        errand.done.fetch_add(1, Ordering::AcqRel);
        let attributes = from_ref(&change.attributes) as usize;
        let (empty, size) = (c"".as_ptr() as usize, size_of::<libc::mount_attr>());
        let changed =
            call(libc::SYS_mount_setattr, [tree as usize, empty, change.flags as usize, attributes, size]);
        if changed < 0 {
            call(libc::SYS_close, [tree as usize, 0, 0, 0, 0]);
            return changed;
        }
    }
    tree
}
