//! Process attributes that rustix lacks or that need care in a threaded caller.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::from_ref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, nanosleep, sched_setaffinity};

/// Whether this program was given privileges that its caller hasn't, by a set-user-ID or set-group-ID bit or by
/// capabilities of its file.
pub fn has_more_privileges_than_caller() -> bool {
    // SAFETY: it only looks at what the kernel told this process at its start.
    let told = |key| unsafe { libc::getauxval(key) };
    let (uid, gid) = (told(libc::AT_UID), told(libc::AT_GID));
    // Security modules ask for a careful start too, when they change the label: that gives no privileges by itself.
    told(libc::AT_SECURE) != 0
        && (uid != told(libc::AT_EUID) || gid != told(libc::AT_EGID) || uid != 0 && has_capabilities())
}

fn has_capabilities() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| !sets.permitted.is_empty())
}

/// Lets a process run on these processors alone.
pub(crate) fn set_affinity(pid: u32, cpus: impl Iterator<Item = usize>) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    cpus.for_each(|cpu| set.set(cpu));
    sched_setaffinity(Pid::from_raw(pid.cast_signed()), &set)
}

/// Sets a resource limit, by number, of another process. `u64::MAX` means no limit.
pub(crate) fn set_limit(pid: u32, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure lives through the call; the kernel checks the numbers.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            resource,
            &raw const limit,
            std::ptr::null::<libc::rlimit64>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sets how another process gets processors.
pub(crate) fn set_scheduling(pid: u32, attributes: &libc::sched_attr) -> Result<(), Errno> {
    // SAFETY: the structure lives through the call and says how long it is; the kernel checks the rest.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, from_ref(attributes), 0) };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sets how another process gets disks.
pub(crate) fn set_io_priority(pid: u32, class: u32, level: u32) -> Result<(), Errno> {
    const ONE_PROCESS: u32 = 1;
    // SAFETY: numbers alone, which the kernel checks.
    let answer = unsafe { libc::syscall(libc::SYS_ioprio_set, ONE_PROCESS, pid, class << 13 | level) };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Keeps this process as dumpable as it is now: a child that shares our memory takes that away when it changes user.
#[derive(Debug)]
pub(crate) struct KeepDumpable {
    hides: bool,
}

/// Several threads may give birth at once. What the first of them found is restored as often as one of them is done:
/// each sees what its own child did, and none takes what another one's child did for the state to keep. While one of
/// them hides our memory, nothing is restored.
#[derive(Debug)]
struct Keepers {
    count: usize,
    hiding: usize,
    was_dumpable: bool,
}

static KEEPERS: Mutex<Keepers> = Mutex::new(Keepers { count: 0, hiding: 0, was_dumpable: false });

fn keepers() -> MutexGuard<'static, Keepers> {
    KEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeepDumpable {
    /// Restores it at the end.
    pub(crate) fn of_this_process() -> Self {
        Self::begin(false)
    }

    /// Takes it away until the end: nobody may look at our memory.
    pub(crate) fn hidden() -> Self {
        Self::begin(true)
    }

    fn begin(hides: bool) -> Self {
        let mut keepers = keepers();
        if keepers.count == 0 {
            keepers.was_dumpable = is_dumpable();
        }
        keepers.count += 1;
        if hides {
            keepers.hiding += 1;
            set_dumpable(false);
        }
        KeepDumpable { hides }
    }
}

impl Drop for KeepDumpable {
    fn drop(&mut self) {
        let mut keepers = keepers();
        keepers.count -= 1;
        keepers.hiding -= usize::from(self.hides);
        if keepers.hiding == 0 && keepers.was_dumpable && !is_dumpable() {
            set_dumpable(true);
        }
    }
}

fn set_dumpable(wanted: bool) {
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, i32::from(wanted)) };
}

fn is_dumpable() -> bool {
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE) == 1 }
}

/// Capabilities of this thread, in the form of `capset`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Capabilities {
    /// The version of the form, and the thread: 0 is the caller.
    header: [u32; 2],
    /// Effective, permitted and inheritable: bits 0 to 31, then 32 to 63.
    sets: [u32; 6],
}

impl Capabilities {
    const VERSION_3: u32 = 0x2008_0522;
    /// Those that let a file be read whatever its permissions say: DAC_OVERRIDE and DAC_READ_SEARCH.
    const READING: u32 = 1 << 1 | 1 << 2;

    /// What this thread has, but without the ones for reading in force.
    pub(crate) fn without_reading() -> Self {
        let mut capabilities = Capabilities { header: [Self::VERSION_3, 0], sets: [0; 6] };
        let (header, sets) = (capabilities.header.as_mut_ptr(), capabilities.sets.as_mut_ptr());
        // SAFETY: version 3 fills two times three words. It can't fail for the caller itself.
        unsafe { libc::syscall(libc::SYS_capget, header, sets) };
        capabilities.sets[0] &= !Self::READING;
        capabilities
    }

    /// Where a system call finds the header and the sets.
    pub(crate) fn addresses(&self) -> (usize, usize) {
        (self.header.as_ptr() as usize, self.sets.as_ptr() as usize)
    }
}

/// The `CLONE_NEW*` flag of the kind of namespace that a descriptor leads to.
pub(crate) fn kind_of_namespace(namespace: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the call takes a descriptor and a number.
    let answer = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    u64::try_from(answer).map_err(|_| last_errno())
}

/// Sends a signal by number: real-time signals have no name.
pub(crate) fn send_signal(process: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the call takes numbers and a null pointer.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, none, 0) };
    if answer == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Waits so long before the next attempt. A signal may end it early: who calls this looks at the clock anyway.
pub(crate) fn rest(pause: Duration) {
    if let Ok(pause) = Timespec::try_from(pause) {
        let _ = nanosleep(&pause);
    }
}

/// Waits until a process has ended; false if it still lives after that time.
pub(crate) fn wait_for_end(process: BorrowedFd<'_>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::from_borrowed_fd(process, PollFlags::IN)], Some(&left)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// The part of the kernel's `struct pidfd_info` that its first version has.
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// How a process ended that was reaped after this descriptor of it had been opened, as `wait` tells it. `None` for one
/// that is there still, and where the kernel doesn't know.
pub(crate) fn wait_status(process: BorrowedFd<'_>) -> Option<i32> {
    // KERNEL(6.15): PIDFD_INFO_EXIT.
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, cgroup: 0, ids: [0; 11], exit_code: 0 };
    // SAFETY: the structure has the size that the number of the call says, and lives through the call.
    let answer = unsafe { libc::ioctl(process.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (answer == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
