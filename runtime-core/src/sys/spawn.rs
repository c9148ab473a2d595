//! Starting a program on the host without forking the caller.
//!
//! `std::process::Command` is not used: in a static glibc program its weak reference to
//! `posix_spawn_file_actions_addchdir_np` stays empty, so that a working directory makes it fork (13 to 26 ms for a
//! caller with a heap of 200 MB, against 1 ms), and it can't pass on an environment as it was written.

use std::ffi::{CStr, CString, c_char, c_int, c_short};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// A program to start on the host.
pub(crate) struct Program<'a> {
    /// The executable; not searched in PATH.
    pub(crate) path: &'a CStr,
    /// Its arguments, the first being its name.
    pub(crate) args: &'a [CString],
    /// Its whole environment.
    pub(crate) env: &'a [CString],
    /// Its working directory.
    pub(crate) directory: BorrowedFd<'a>,
    /// Its standard streams; every other descriptor is closed.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
}

impl Program<'_> {
    /// Starts it as the leader of a process group of its own, with no signal blocked or ignored.
    ///
    /// # Errors
    /// What the kernel said to the `execve`, or to an earlier call.
    pub(crate) fn spawn(&self) -> Result<Pid> {
        let actions = Actions::new(self)?;
        let attributes = Attributes::new()?;
        let mut pid = 0;
        // SAFETY: both objects are initialised, the strings and the null-terminated arrays outlive the call, and
        // glibc doesn't write to them.
        let code = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                self.path.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                pointers(self.args).as_ptr(),
                pointers(self.env).as_ptr(),
            )
        };
        check(code)?;
        Pid::from_raw(pid).ok_or(Errno::SRCH)
    }
}

fn pointers(texts: &[CString]) -> Vec<*mut c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

// The posix_spawn family returns its error instead of setting errno.
fn check(code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Errno::from_raw_os_error(code)),
    }
}

/// What the child does before it executes the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new(program: &Program<'_>) -> Result<Self> {
        let mut actions = Actions::empty()?;
        // The directory comes first: its descriptor is closed by the last action.
        actions.change_directory(program.directory)?;
        for (stream, number) in program.stdio.iter().zip(0..) {
            actions.duplicate(*stream, number)?;
        }
        actions.close_from(3)?;
        Ok(actions)
    }

    fn empty() -> Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: the call above succeeded and initialised it.
        Ok(Actions(unsafe { actions.assume_init() }))
    }

    fn change_directory(&mut self, directory: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawn_file_actions_addfchdir_np(&raw mut self.0, directory.as_raw_fd()) })
    }

    fn duplicate(&mut self, stream: BorrowedFd<'_>, number: c_int) -> Result<()> {
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, stream.as_raw_fd(), number) })
    }

    fn close_from(&mut self, first: c_int) -> Result<()> {
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, first) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the object is initialised and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// Process group and signals of the child.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> Result<Self> {
        let mut attributes = Attributes::empty()?;
        attributes.set_flags(
            libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF,
        )?;
        attributes.reset_signals()?;
        // The process group needs no call: 0, a group of its own, is what an initialised object says.
        Ok(attributes)
    }

    fn empty() -> Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: the call above succeeded and initialised it.
        Ok(Attributes(unsafe { attributes.assume_init() }))
    }

    fn set_flags(&mut self, flags: c_int) -> Result<()> {
        let flags = c_short::try_from(flags).map_err(|_| Errno::INVAL)?;
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut self.0, flags) })
    }

    fn reset_signals(&mut self) -> Result<()> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the pointer is valid for writes.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: `sigemptyset` initialised the set and can't fail; the object is initialised.
        check(unsafe { libc::posix_spawnattr_setsigmask(&raw mut self.0, set.as_ptr()) })?;
        // `sigfillset` leaves out the two signals that glibc uses itself, and those the program would then ignore.
        // SAFETY: the pointer is valid for writes, and a set is an array of numbers.
        unsafe { set.as_mut_ptr().write_bytes(0xff, 1) };
        // SAFETY: the set and the object are initialised.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&raw mut self.0, set.as_ptr()) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the object is initialised and not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
