//! The birth of a process without a copy of its parent.
//!
//! The child shares our memory until it executes the init program, and runs on a stack of its own. Between birth and
//! execution it makes a few raw system calls and nothing else: it allocates nothing, takes no lock, and touches no
//! thread-local state, so it doesn't matter what the other threads of the caller hold.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{from_ref, null};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use super::process::{DEATH, Process};
use crate::step::Call;
use crate::sys::arch;
use crate::sys::process::{Capabilities, KeepDumpable};
use crate::sys::signals;
use crate::wire::{Failure, Report};

/// What to give birth to.
pub(super) struct Request<'a> {
    /// `CLONE_NEW*` flags.
    pub(super) namespaces: u64,
    /// Namespaces to be born in, in the order in which they are entered.
    pub(super) join: &'a [OwnedFd],
    /// The cgroup (version 2) to be born in.
    pub(super) cgroup: Option<BorrowedFd<'a>>,
    /// The program to execute.
    pub(super) image: BorrowedFd<'a>,
    /// Our end of the dialogue, which the child must not keep open: its end would never see ours close.
    pub(super) parent_end: BorrowedFd<'a>,
    /// The child's end of the dialogue, whose number is above those of `descriptors`.
    pub(super) dialogue: BorrowedFd<'a>,
    /// The number that it gets: the first one above those of `descriptors`.
    pub(super) dialogue_place: RawFd,
    /// Descriptors that get fixed numbers: (ours, the child's). No target may be another one's source.
    pub(super) descriptors: Vec<(RawFd, RawFd)>,
    /// What its user namespace demands before the execution.
    pub(super) user_namespace: UserNamespace,
}

/// What a user namespace demands of a process before it executes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserNamespace {
    /// Nothing: it stays in ours.
    Same,
    /// It waits for its maps, then becomes root: executing as an unmapped user would lose all capabilities.
    New,
    /// It becomes root: the maps are there.
    Joined,
}

/// The memory that a process which was just born uses until it has executed its program. Dropping this waits for that.
pub(super) struct Newborn {
    memory: Option<Box<Memory>>,
    _dumpable: Option<KeepDumpable>,
}

/// What parent and child share until the child has memory of its own.
struct Memory {
    /// Not 0 while the child is here; the kernel clears it and wakes us.
    child: AtomicU32,
    /// The same for the process between us and the child that joins namespaces.
    joiner: AtomicU32,
    pid: AtomicI32,
    pidfd: AtomicI32,
    failure: AtomicI32,
    request: libc::clone_args,
    image: RawFd,
    parent_end: RawFd,
    dialogue: RawFd,
    dialogue_place: RawFd,
    descriptors: Vec<(RawFd, RawFd)>,
    join: Vec<RawFd>,
    /// What is left in force of our capabilities when init is executed, where that matters.
    capabilities: Option<Capabilities>,
    user_namespace: UserNamespace,
    argument: [u8; 12],
    child_stack: Box<MaybeUninit<Stack>>,
    joiner_stack: Box<MaybeUninit<Stack>>,
}

/// `libc` has this constant in a type that is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

const STACK_SIZE: usize = 8 * 1024;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

/// Gives birth.
pub(super) fn birth(request: Request<'_>) -> Result<(Process, Newborn), Errno> {
    let namespaces = request.namespaces;
    let cgroup = request.cgroup.map(|cgroup| cgroup.as_raw_fd());
    let mut memory = Box::new(Memory {
        child: AtomicU32::new(1),
        joiner: AtomicU32::new(1),
        pid: AtomicI32::new(0),
        pidfd: AtomicI32::new(-1),
        failure: AtomicI32::new(0),
        request: no_request(),
        image: request.image.as_raw_fd(),
        parent_end: request.parent_end.as_raw_fd(),
        dialogue: request.dialogue.as_raw_fd(),
        dialogue_place: request.dialogue_place,
        descriptors: request.descriptors,
        join: request.join.iter().map(AsRawFd::as_raw_fd).collect(),
        capabilities: (!request.join.is_empty()).then(Capabilities::without_reading),
        user_namespace: request.user_namespace,
        argument: decimal(request.dialogue_place),
        child_stack: Box::new_uninit(),
        joiner_stack: Box::new_uninit(),
    });
    memory.request = child_request(&memory, namespaces, cgroup);
    let changes_user = memory.user_namespace != UserNamespace::Same;
    let dumpable = match memory.join.is_empty() {
        true => changes_user.then(KeepDumpable::of_this_process),
        // Our memory is about to appear among processes of others.
        false => Some(KeepDumpable::hidden()),
    };
    let quiet = signals::block_all();
    let pid = if memory.join.is_empty() { clone_child(&memory) } else { clone_through_joiner(&memory) };
    drop(quiet);
    // SAFETY: the kernel just made this descriptor for us; nobody else knows its number.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pid.map(|_| memory.pidfd.load(Ordering::Acquire))?) };
    Ok((Process { pid: pid?, pidfd, terminal: None }, Newborn { memory: Some(memory), _dumpable: dumpable }))
}

fn no_request() -> libc::clone_args {
    // SAFETY: all zeros is a valid request.
    unsafe { std::mem::zeroed() }
}

fn child_request(memory: &Memory, namespaces: u64, cgroup: Option<RawFd>) -> libc::clone_args {
    let flags = (libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID) as u64;
    let into_cgroup = cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    // A sibling of the joiner, not its child; then the exit signal is the joiner's.
    let (parent, exit_signal) =
        if memory.join.is_empty() { (0, libc::SIGCHLD as u64) } else { (libc::CLONE_PARENT as u64, 0) };
    libc::clone_args {
        flags: flags | namespaces | into_cgroup | parent,
        pidfd: from_ref(&memory.pidfd) as u64,
        child_tid: from_ref(&memory.child) as u64,
        exit_signal,
        stack: memory.child_stack.as_ptr() as u64,
        stack_size: STACK_SIZE as u64,
        cgroup: cgroup.unwrap_or(0) as u64,
        ..no_request()
    }
}

fn clone_child(memory: &Memory) -> Result<u32, Errno> {
    // SAFETY: the request is complete, its stack unused, and `Newborn` keeps the memory until the child has left it.
    pid_or_errno(unsafe { bear(&memory.request, child, memory) })
}

/// Lets a process between us and the child join the namespaces: joining them ourselves would change the caller.
fn clone_through_joiner(memory: &Memory) -> Result<u32, Errno> {
    let request = libc::clone_args {
        flags: (libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID) as u64,
        child_tid: from_ref(&memory.joiner) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: memory.joiner_stack.as_ptr() as u64,
        stack_size: STACK_SIZE as u64,
        ..no_request()
    };
    // SAFETY: as above; we wait below until the joiner has left the memory.
    let joiner = pid_or_errno(unsafe { bear(&request, joiner, memory) })?;
    wait_until_left(&memory.joiner);
    if let Some(joiner) = rustix::process::Pid::from_raw(joiner as i32) {
        // An engine's own reaper may have been faster.
        let _ = rustix::process::waitpid(Some(joiner), rustix::process::WaitOptions::empty());
    }
    match memory.failure.load(Ordering::Acquire) {
        0 => Ok(memory.pid.load(Ordering::Acquire) as u32),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

fn pid_or_errno(answer: isize) -> Result<u32, Errno> {
    u32::try_from(answer).map_err(|_| Errno::from_raw_os_error(-answer as i32))
}

impl Drop for Newborn {
    fn drop(&mut self) {
        // A child that neither runs nor dies keeps what it has.
        if let Some(memory) = self.memory.take().filter(|memory| !is_left_within(&memory.child, DEATH)) {
            Box::leak(memory);
        }
    }
}

fn wait_until_left(resident: &AtomicU32) {
    while !is_left_within(resident, DEATH) {}
}

fn is_left_within(resident: &AtomicU32, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while resident.load(Ordering::Acquire) != 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(left) = Timespec::try_from(left).ok().filter(|left| *left != Timespec::default()) else {
            return false;
        };
        let _ = futex::wait(resident, futex::Flags::empty(), 1, Some(&left));
    }
    true
}

// Below: what runs in memory that is not its own. -----------------------------------------------------------------

/// A raw system call: no errno, no wrapper of the C library, which would be the caller's.
fn call(number: i64, arguments: [usize; 5]) -> isize {
    // SAFETY: the callers below pass numbers, and pointers into the shared memory, which outlives them.
    unsafe { arch::syscall(number, arguments) }
}

/// Whether the call may be one that isn't there: the kernel is old, or a sandbox around us doesn't know it.
fn is_missing(answer: isize) -> bool {
    matches!(-answer as i32, libc::ENOSYS | libc::EPERM)
}

/// `clone3`, or `clone` where it is missing and what is asked for can be said to it.
///
/// # Safety
/// The request's stack must be writable and unused, and the memory be there for as long as the child shares it.
unsafe fn bear(request: &libc::clone_args, enter: extern "C" fn(usize) -> !, memory: &Memory) -> isize {
    let (argument, size) = (from_ref(memory) as usize, size_of::<libc::clone_args>());
    // SAFETY: as our caller promises.
    let answer =
        unsafe { arch::bear(libc::SYS_clone3, [from_ref(request) as usize, size, 0, 0, 0], enter, argument) };
    let flags = request.flags | request.exit_signal;
    // New time namespaces and births in a cgroup are beyond `clone`: their bits mean something else to it, or don't fit.
    if !is_missing(answer) || request.flags & libc::CSIGNAL as u64 != 0 || u32::try_from(flags).is_err() {
        return answer;
    }
    let top = request.stack + request.stack_size;
    let arguments = [flags, top, request.pidfd, request.child_tid, 0].map(|argument| argument as usize);
    // SAFETY: as our caller promises.
    unsafe { arch::bear(libc::SYS_clone, arguments, enter, argument) }
}

fn leave() -> ! {
    loop {
        call(libc::SYS_exit, [1, 0, 0, 0, 0]);
    }
}

extern "C" fn joiner(memory: usize) -> ! {
    // SAFETY: our parent passed the address of a `Memory` that it keeps until we have left.
    let memory = unsafe { &*(memory as *const Memory) };
    for namespace in &memory.join {
        let answer = call(libc::SYS_setns, [*namespace as usize, 0, 0, 0, 0]);
        if answer < 0 {
            memory.failure.store(-answer as i32, Ordering::Release);
            leave();
        }
    }
    // SAFETY: the request is complete, its stack unused, and the memory outlives the child's stay in it.
    let answer = unsafe { bear(&memory.request, child, memory) };
    if answer < 0 {
        memory.failure.store(-answer as i32, Ordering::Release);
    } else {
        memory.pid.store(answer as i32, Ordering::Release);
    }
    leave()
}

extern "C" fn child(memory: usize) -> ! {
    // SAFETY: our parent passed the address of a `Memory` that it keeps until we have left.
    let memory = unsafe { &*(memory as *const Memory) };
    if memory.user_namespace == UserNamespace::New {
        // The execution would close it too, but this may wait for the parent's death.
        call(libc::SYS_close, [memory.parent_end as usize, 0, 0, 0, 0]);
        wait_for_maps(memory);
    }
    if memory.user_namespace != UserNamespace::Same {
        become_root(memory);
    }
    for (ours, theirs) in &memory.descriptors {
        place(memory, *ours, *theirs);
    }
    place(memory, memory.dialogue, memory.dialogue_place);
    hide(memory);
    let arguments: [*const c_char; 3] = [c"runtime-init".as_ptr(), memory.argument.as_ptr().cast(), null()];
    let environment: [*const c_char; 1] = [null()];
    let empty: &CStr = c"";
    let answer = call(
        libc::SYS_execveat,
        [
            memory.image as usize,
            empty.as_ptr() as usize,
            arguments.as_ptr() as usize,
            environment.as_ptr() as usize,
            libc::AT_EMPTY_PATH as usize,
        ],
    );
    give_up(memory, Call::ExecInit, answer)
}

/// No descriptor of our caller's survives the execution, and where others may look at us, the program may not be read:
/// the kernel then lets nobody trace it. The execution gives root its capabilities back.
fn hide(memory: &Memory) {
    let above = memory.dialogue_place as usize + 1;
    let close_on_exec = libc::CLOSE_RANGE_CLOEXEC as usize;
    let answer = call(libc::SYS_close_range, [above, u32::MAX as usize, close_on_exec, 0, 0]);
    if is_missing(answer) {
        for number in above..descriptor_limit() {
            call(libc::SYS_fcntl, [number, libc::F_SETFD as usize, libc::FD_CLOEXEC as usize, 0, 0]);
        }
    } else if answer < 0 {
        give_up(memory, Call::CloseRange, answer);
    }
    if let Some(capabilities) = &memory.capabilities {
        let (header, sets) = capabilities.addresses();
        let answer = call(libc::SYS_capset, [header, sets, 0, 0, 0]);
        if answer < 0 {
            give_up(memory, Call::Capset, answer);
        }
    }
}

fn descriptor_limit() -> usize {
    let limit = UnsafeCell::new(libc::rlimit { rlim_cur: 0, rlim_max: 0 });
    call(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, 0, limit.get() as usize, 0]);
    limit.into_inner().rlim_cur as usize
}

/// Gives a descriptor the number that it has in the program.
fn place(memory: &Memory, ours: RawFd, theirs: RawFd) {
    let answer = match ours == theirs {
        true => call(libc::SYS_fcntl, [ours as usize, libc::F_SETFD as usize, 0, 0, 0]),
        false => call(libc::SYS_dup3, [ours as usize, theirs as usize, 0, 0, 0]),
    };
    if answer < 0 {
        give_up(memory, Call::ExecInit, answer);
    }
}

/// End of file means that the parent is gone: then nobody will ever write the maps.
fn wait_for_maps(memory: &Memory) {
    let word = UnsafeCell::new(0u8);
    let (dialogue, place) = (memory.dialogue as usize, word.get() as usize);
    loop {
        match call(libc::SYS_read, [dialogue, place, 1, 0, 0]) {
            1 => return,
            answer if answer == -(libc::EINTR as isize) => {}
            _ => leave(),
        }
    }
}

fn become_root(memory: &Memory) {
    for number in [libc::SYS_setresgid, libc::SYS_setresuid] {
        let answer = call(number, [0; 5]);
        if answer < 0 {
            give_up(memory, Call::BecomeRoot, answer);
        }
    }
}

fn give_up(memory: &Memory, failed: Call, answer: isize) -> ! {
    let failure = Failure { step: 0, errno: -answer as i32, call: failed as u8, item: 0 };
    let report = Report::Failed(failure).to_bytes();
    call(libc::SYS_write, [memory.dialogue as usize, report.as_ptr() as usize, report.len(), 0, 0]);
    leave()
}

/// A descriptor's number as a C string. Made before the birth: formatting would allocate.
fn decimal(number: RawFd) -> [u8; 12] {
    let mut text = [0; 12];
    for (place, byte) in text.iter_mut().zip(number.to_string().bytes().take(11)) {
        *place = byte;
    }
    text
}
