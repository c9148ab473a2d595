//! The few requests of ptrace(2) that are needed, as functions.

use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// How a stop at a system call is told from any other trap.
pub const AT_CALL: i32 = libc::SIGTRAP | 0x80;

/// A new process was born to a traced one, and is traced as well: its parent will collect it, or nobody.
pub const FORK: i32 = libc::PTRACE_EVENT_FORK;
/// The same for threads, and for processes whose end raises no SIGCHLD.
pub const CLONE: i32 = libc::PTRACE_EVENT_CLONE;
/// A process has executed another program.
pub const EXEC: i32 = libc::PTRACE_EVENT_EXEC;

/// A stop at a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It is about to be made: its number and first three arguments.
    Entry(u64, [u64; 3]),
    /// It has been made.
    Exit,
    /// It is no such stop.
    Other,
}

/// To be called by a process between fork and exec.
///
/// # Errors
/// When it is traced already.
pub fn ask_to_be_traced() -> Result<()> {
    ptrace(libc::PTRACE_TRACEME, 0, 0, null_mut()).map(drop)
}

/// Says what to be told of. Traced processes never outlive us.
///
/// # Errors
/// When the process is gone.
pub fn set_options(pid: i32, children: bool) -> Result<()> {
    let more = libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXEC;
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL | if children { more } else { 0 };
    ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options as *mut libc::c_void).map(drop)
}

/// Lets a stopped process go on, to its next stop at a call if `to_call`, with this signal unless it is 0.
///
/// # Errors
/// When the process is gone.
pub fn resume(pid: i32, to_call: bool, signal: i32) -> Result<()> {
    let request = if to_call { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
    ptrace(request, pid, 0, signal as *mut libc::c_void).map(drop)
}

/// Leaves a stopped process alone, with this signal unless it is 0.
///
/// # Errors
/// When the process is gone.
pub fn detach(pid: i32, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_DETACH, pid, 0, signal as *mut libc::c_void).map(drop)
}

/// At which system call a process stands.
pub fn stop(pid: i32) -> Stop {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let told = ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), info.as_mut_ptr().cast());
    // SAFETY: all zeros is a valid value, and the kernel wrote over it what it had to say.
    let info = unsafe { info.assume_init() };
    match info.op {
        _ if told.is_err() => Stop::Other,
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: at an entry, this is the member that the kernel has filled.
            let entry = unsafe { info.u.entry };
            Stop::Entry(entry.nr, [entry.args[0], entry.args[1], entry.args[2]])
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => Stop::Exit,
        _ => Stop::Other,
    }
}

/// What an event is about: the process that was born.
///
/// # Errors
/// When the process is gone.
pub fn message(pid: i32) -> Result<i32> {
    let mut message: libc::c_ulong = 0;
    ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut message).cast())?;
    i32::try_from(message).map_err(Error::other)
}

/// Changes the registers of a stopped process.
///
/// # Errors
/// When the process is gone.
pub fn change(pid: i32, change: impl FnOnce(&mut libc::user_regs_struct)) -> Result<()> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    ptrace(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr().cast())?;
    // SAFETY: all zeros is a valid value, and the kernel wrote over it.
    let mut registers = unsafe { registers.assume_init() };
    change(&mut registers);
    ptrace(libc::PTRACE_SETREGS, pid, 0, (&raw mut registers).cast()).map(drop)
}

fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: *mut libc::c_void) -> Result<libc::c_long> {
    // SAFETY: the callers pass what each request asks for; memory that the kernel writes to is theirs.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        -1 => Err(Error::last_os_error()),
        answer => Ok(answer),
    }
}
