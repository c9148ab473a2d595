//! Death at a chosen moment: a command of the runtime is killed when it enters its n-th system call.
//!
//! This is [`faults`](crate::faults) for programs with threads, of which none may wait for everybody's children: only the
//! command itself is followed, and only its first thread. The processes that it starts go on alone, as they would
//! after the real thing (the kernel runs out of memory, an impatient engine kills it).

use std::os::unix::process::CommandExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::command::{Call, Outcome};
use crate::faults::ptrace::{self, AT_CALL, Stop};

/// How long a traced command may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

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
        unsafe { command.pre_exec(ptrace::ask_to_be_traced) };
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
            libc::SIGTRAP => drop(ptrace::set_options(pid.as_raw_nonzero().get(), false)),
            other => pass_on = other,
        }
        calls += u32::from(begun.is_some());
        if calls >= ordinal && begun.is_some() {
            kill_process(pid, Signal::KILL).expect("a child can be killed");
            return (calls, begun);
        }
        // It may have been killed meanwhile: the next wait tells.
        drop(ptrace::resume(pid.as_raw_nonzero().get(), true, pass_on));
    }
}

/// The number of the call that the process is about to make; none if it comes back from one.
fn entered(pid: Pid) -> Option<u64> {
    match ptrace::stop(pid.as_raw_nonzero().get()) {
        Stop::Entry(number, _) => Some(number),
        _ => None,
    }
}
