//! Death at a chosen moment: a command of the runtime is traced and killed when it enters its n-th system call.
//!
//! Only the command itself is traced, and only its first thread: the processes that it starts go on alone, as they
//! would after the real thing (the kernel runs out of memory, an impatient engine kills it).

use std::io::{Error, Result};
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::ptr::null_mut;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::command::{Call, Outcome};

/// How long a traced command may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How a stop at a system call is told from any other.
const AT_CALL: i32 = libc::SIGTRAP | 0x80;

/// What became of a traced command.
#[derive(Debug, Clone)]
pub struct Death {
    /// What it did until then.
    pub outcome: Outcome,
    /// How many system calls it entered.
    pub calls: u32,
    /// The number of the call that it never made; none if it came to its end before.
    pub instead_of: Option<u64>,
    /// Whether it had to be killed because it stood still.
    pub hung: bool,
}

/// Runs a command, and kills it when it enters system call number `ordinal`, counted from 1 and from its execution.
///
/// # Panics
/// When it cannot be traced.
pub fn kill_at(call: Call, ordinal: u32) -> Death {
    let traced = call.with(|command| {
        // SAFETY: between fork and exec this makes one system call and touches no memory.
        unsafe { command.pre_exec(ask_to_be_traced) };
    });
    let running = traced.spawn();
    let pid = Pid::from_raw(running.pid()).expect("a process has an id");
    let (calls, instead_of, hung) = watched(pid, || follow(pid, ordinal));
    Death { outcome: running.finish(), calls, instead_of, hung }
}

/// Runs a command to its end and counts its system calls.
pub fn count(call: Call) -> u32 {
    kill_at(call, u32::MAX).calls
}

/// Kills the process when `act` takes too long, which ends `act`, too.
fn watched<A, B>(pid: Pid, act: impl FnOnce() -> (A, B)) -> (A, B, bool) {
    let (done, wait) = channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = wait.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout);
            late.then(|| kill_process(pid, Signal::KILL)).is_some()
        });
        let (calls, instead_of) = act();
        drop(done);
        (calls, instead_of, watch.join().expect("the watch does not panic"))
    })
}

/// Lets the process run from call to call. Its end is left for others to collect.
fn follow(pid: Pid, ordinal: u32) -> (u32, Option<u64>) {
    let mut calls = 0;
    let any = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    loop {
        let status = waitid(WaitId::Pid(pid), any).expect("a child can be waited for");
        let Some(signal) = status.and_then(|status| status.trapping_signal()) else { return (calls, None) };
        let (mut pass_on, mut begun) = (0, None);
        match signal {
            AT_CALL => begun = entered(pid),
            // It has just executed the runtime.
            libc::SIGTRAP => drop(set_options(pid)),
            other => pass_on = other,
        }
        calls += u32::from(begun.is_some());
        if calls >= ordinal && begun.is_some() {
            kill_process(pid, Signal::KILL).expect("a child can be killed");
            return (calls, begun);
        }
        // It may have been killed meanwhile: the next wait tells.
        drop(resume(pid, pass_on));
    }
}

fn ask_to_be_traced() -> Result<()> {
    ptrace(libc::PTRACE_TRACEME, 0, 0, null_mut()).map(drop)
}

/// The runtime must not outlive a test that was killed; its children are not traced, and don't count.
fn set_options(pid: Pid) -> Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SETOPTIONS, raw(pid), 0, options as *mut libc::c_void).map(drop)
}

fn resume(pid: Pid, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_SYSCALL, raw(pid), 0, signal as *mut libc::c_void).map(drop)
}

/// The number of the call that the process is about to make; none if it comes back from one.
fn entered(pid: Pid) -> Option<u64> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    ptrace(libc::PTRACE_GET_SYSCALL_INFO, raw(pid), size_of_val(&info), info.as_mut_ptr().cast()).ok()?;
    // SAFETY: all zeros is a valid value, and the kernel wrote over it what it has to say.
    let info = unsafe { info.assume_init() };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: at an entry, this is the member that the kernel has filled.
    Some(unsafe { info.u.entry }.nr)
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn ptrace(request: libc::c_uint, pid: i32, address: usize, data: *mut libc::c_void) -> Result<libc::c_long> {
    // SAFETY: the callers pass what each request asks for; memory that the kernel writes to is theirs.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        -1 => Err(Error::last_os_error()),
        answer => Ok(answer),
    }
}
