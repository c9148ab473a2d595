//! What all system calls have in common, and those about descriptors. Each answers with what the kernel said; what to make
//! of it is the steps' business.

use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use super::arch::{number, syscall};

/// An errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const PERM: Errno = Errno(1);
    pub const NOENT: Errno = Errno(2);
    pub const INTR: Errno = Errno(4);
    pub const AGAIN: Errno = Errno(11);
    pub const ACCES: Errno = Errno(13);
    pub const BUSY: Errno = Errno(16);
    pub const EXIST: Errno = Errno(17);
    pub const XDEV: Errno = Errno(18);
    pub const NODEV: Errno = Errno(19);
    pub const NOTDIR: Errno = Errno(20);
    pub const ISDIR: Errno = Errno(21);
    pub const INVAL: Errno = Errno(22);
    pub const ROFS: Errno = Errno(30);
    pub const NAMETOOLONG: Errno = Errno(36);
    pub const NOSYS: Errno = Errno(38);
    pub const LOOP: Errno = Errno(40);
    pub const NODATA: Errno = Errno(61);
    pub const OPNOTSUPP: Errno = Errno(95);

    /// Whether the call may be one that isn't there: the kernel is old, or a sandbox around us doesn't know the call. If
    /// what was asked is forbidden, the older way is forbidden too.
    pub fn is_missing_call(self) -> bool {
        matches!(self, Errno::NOSYS | Errno::PERM)
    }
}

/// What a system call answers.
pub type Answer<T> = Result<T, Errno>;

/// A descriptor. All of them are closed by the execution of the program; before that, only those with high numbers are
/// closed when they go out of scope: a few may stay open, and each call saved makes a container start faster.
#[derive(Debug)]
pub struct Fd(pub(super) i32);

const RLIMIT_NOFILE: usize = 7;

/// Before the plan says how many: the plan's own file.
static FEW: AtomicI32 = AtomicI32::new(16);

/// Sets the number from which on descriptors are closed when they go out of scope.
pub fn leave_open_below(number: u32) {
    FEW.store(number as i32, Ordering::Relaxed);
}

/// Whether this is a limit of descriptors below the number from which on they are closed.
pub fn limits_descriptors(resource: u32, limit: u64) -> bool {
    resource as usize == RLIMIT_NOFILE && limit <= FEW.load(Ordering::Relaxed) as u64
}

impl Fd {
    /// Takes over a descriptor that the kernel or the caller gave us.
    pub fn own(raw: i32) -> Self {
        Fd(raw)
    }

    /// Its number.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Closes it now, whatever its number: a mount with a file that is open for writing can't become read-only.
    pub fn close(self) {
        let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
        core::mem::forget(self);
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        if self.0 >= FEW.load(Ordering::Relaxed) {
            let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
        }
    }
}

/// The current directory, where a call wants a directory.
pub const HERE: i32 = -100;

pub(super) fn call(number: usize, arguments: [usize; 6]) -> Answer<usize> {
    // SAFETY: every caller below passes numbers, and pointers to values that outlive the call and are as large as
    // the call demands.
    answer(unsafe { syscall(number, arguments) })
}

pub(super) fn answer(answer: isize) -> Answer<usize> {
    if (-4095..0).contains(&answer) { Err(Errno(-answer as i32)) } else { Ok(answer as usize) }
}

pub(super) fn descriptor(answer: Answer<usize>) -> Answer<Fd> {
    answer.map(|raw| Fd(raw as i32))
}

pub(super) fn done(answer: Answer<usize>) -> Answer<()> {
    answer.map(|_| ())
}

pub(super) fn address<T: ?Sized>(value: &T) -> usize {
    (&raw const *value).cast::<u8>() as usize
}

pub(super) fn address_mut<T: ?Sized>(value: &mut T) -> usize {
    (&raw mut *value).cast::<u8>() as usize
}

pub(super) fn text(text: &CStr) -> usize {
    text.as_ptr() as usize
}

pub(super) const EMPTY: &CStr = c"";
pub(super) const AT_EMPTY_PATH: usize = 0x1000;
pub(super) const AT_SYMLINK_NOFOLLOW: usize = 0x100;

/// Ends the process.
pub fn exit(status: i32) -> ! {
    loop {
        let _ = call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]);
    }
}

/// Closes all descriptors from `first` to `last`.
pub fn close_range(first: u32, last: u32) -> Answer<()> {
    match done(call(number::CLOSE_RANGE, [first as usize, last as usize, 0, 0, 0, 0])) {
        Err(errno) if errno.is_missing_call() => {
            each_descriptor(first, last, |raw| call(number::CLOSE, [raw, 0, 0, 0, 0, 0]))
        }
        answer => answer,
    }
}

/// Closes all descriptors from `first` on.
pub fn close_from(first: u32) -> Answer<()> {
    close_range(first, u32::MAX)
}

/// Has all descriptors from `first` on closed when the program is executed.
pub fn close_on_exec(first: u32) -> Answer<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    match done(call(number::CLOSE_RANGE, [first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0])) {
        Err(errno) if errno.is_missing_call() => {
            const F_SETFD: usize = 2;
            const FD_CLOEXEC: usize = 1;
            each_descriptor(first, u32::MAX, |raw| call(number::FCNTL, [raw, F_SETFD, FD_CLOEXEC, 0, 0, 0]))
        }
        answer => answer,
    }
}

/// Acts on all numbers that a descriptor can have; most are free.
#[cold]
fn each_descriptor(first: u32, last: u32, act: impl Fn(usize) -> Answer<usize>) -> Answer<()> {
    let mut limit = [0u64; 2];
    done(call(number::PRLIMIT64, [0, RLIMIT_NOFILE, 0, address_mut(&mut limit), 0, 0]))?;
    let [limit, _] = limit;
    for raw in u64::from(first)..limit.min(u64::from(last) + 1) {
        let _ = act(raw as usize);
    }
    Ok(())
}

/// Reads once.
pub fn read(fd: &Fd, buffer: &mut [u8]) -> Answer<usize> {
    call(number::READ, [fd.0 as usize, address_mut(buffer), buffer.len(), 0, 0, 0])
}

/// Writes once.
pub fn write(fd: &Fd, bytes: &[u8]) -> Answer<usize> {
    call(number::WRITE, [fd.0 as usize, address(bytes), bytes.len(), 0, 0, 0])
}

/// Reads directory entries into `buffer`.
pub fn getdents64(fd: &Fd, buffer: &mut [u8]) -> Answer<usize> {
    call(number::GETDENTS64, [fd.0 as usize, address_mut(buffer), buffer.len(), 0, 0, 0])
}

/// Gives a descriptor a second number, which the program inherits.
pub fn duplicate(fd: &Fd, number: u32) -> Answer<()> {
    done(call(number::DUP3, [fd.0 as usize, number as usize, 0, 0, 0, 0]))
}
