//! A command and the processes that it makes, followed from call to call until the fault has struck.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fault::{Fault, Lasting, Point};
use super::ptrace::{self, AT_CALL, Stop};

/// How long a process stands still.
const STANDSTILL: Duration = Duration::from_millis(10);

/// Signals that nobody minds.
const IDLE: [i32; 3] = [libc::SIGWINCH, libc::SIGCHLD, libc::SIGURG];

/// What a process is at a call of its.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The command.
    Parent,
    /// Born by it, with no program of its own yet.
    Trampoline,
    /// The init program, or born by that.
    Init,
}

/// All calls that a process has made, and what it was.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The numbers of the calls.
    pub calls: Vec<(Role, u64)>,
}

/// Where to strike, and what is expected to have happened before.
#[derive(Debug, Clone)]
pub struct Aim {
    /// The call.
    pub point: Point,
    /// What happens there.
    pub fault: Fault,
    /// The process's calls in the reference run.
    pub reference: Trace,
}

/// Whom to follow.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Everybody, to the end.
    Reference,
    /// The command alone, to the end.
    CommandOnly,
    /// The one at which is aimed.
    Aim(Aim),
}

#[derive(Debug)]
struct Tracee {
    process: usize,
    role: Role,
    /// Whether it has not stopped yet, as every newborn does at first.
    fresh: bool,
    /// What is to be done when the call that it makes has been made.
    pending: Option<Pending>,
    last: (u64, [u64; 3]),
}

impl Tracee {
    fn new(process: usize, role: Role, fresh: bool) -> Self {
        Self { process, role, fresh, pending: None, last: (u64::MAX, [0; 3]) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Pending {
    Kill,
    Answer(i64),
}

/// All children of a keeper, traced or not.
#[derive(Debug, Default)]
pub struct Children {
    tracees: BTreeMap<i32, Tracee>,
    /// Those that stopped before their birth was told.
    early: BTreeSet<i32>,
    wish: Option<Wish>,
    traces: Vec<Trace>,
    ended: BTreeMap<i32, ExitStatus>,
    struck: bool,
    drifted: bool,
    storms: usize,
    stops: usize,
}

impl Children {
    /// Follows a process that has asked to be traced, and is about to execute the command.
    pub fn follow(&mut self, pid: i32, wish: Wish) {
        *self = Self { wish: Some(wish), traces: vec![Trace::default()], ..Self::default() };
        self.tracees.insert(pid, Tracee::new(0, Role::Parent, false));
    }

    /// Follows nobody any longer: who is traced still goes on undisturbed.
    pub fn relax(&mut self) {
        self.wish = None;
    }

    /// Whether the fault has happened.
    pub fn struck(&self) -> bool {
        self.struck
    }

    /// Whether the calls before the point were others than in the reference run.
    pub fn drifted(&self) -> bool {
        self.drifted
    }

    /// The calls of all processes, in the order of birth.
    pub fn traces(&mut self) -> Vec<Trace> {
        std::mem::take(&mut self.traces)
    }

    /// Waits for the end of a child, serving all others; none if the time is up.
    pub fn wait_for(&mut self, pid: i32, time: Duration) -> Option<ExitStatus> {
        let mut begun = Instant::now();
        loop {
            if let Some(status) = self.ended.remove(&pid) {
                return Some(status);
            }
            let stops = self.stops;
            if begun.elapsed() > time || !self.serve(0) {
                return None;
            }
            // Until the fault has struck it is we who take the time.
            if self.stops != stops && !self.struck {
                begun = Instant::now();
            }
        }
    }

    /// Serves whoever waits for us already.
    pub fn serve_all(&mut self) {
        while self.serve(libc::WNOHANG) {}
    }

    /// Serves one child; false if there is none. A timer interrupts the waiting now and then.
    fn serve(&mut self, flags: i32) -> bool {
        let mut status = 0;
        // SAFETY: the kernel writes one number to `status`.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | flags) };
        match pid {
            1.. if libc::WIFSTOPPED(status) => self.stopped(pid, status),
            1.. => {
                self.tracees.remove(&pid);
                self.ended.insert(pid, ExitStatus::from_raw(status));
            }
            0 => return false,
            _ => return io::Error::last_os_error().kind() == io::ErrorKind::Interrupted,
        }
        true
    }

    fn stopped(&mut self, pid: i32, status: i32) {
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        self.stops += 1;
        if !self.tracees.contains_key(&pid) {
            self.early.insert(pid);
            return;
        }
        match (signal, event) {
            (AT_CALL, _) => self.at_call(pid),
            (_, ptrace::FORK | ptrace::CLONE) => self.bore(pid),
            (_, ptrace::EXEC) => self.executed(pid),
            // The command was executed.
            (libc::SIGTRAP, 0) => {
                let _ = ptrace::set_options(pid, self.follows_children());
                self.resume(pid, 0);
            }
            (libc::SIGSTOP, 0) if self.is_fresh(pid) => self.resume(pid, 0),
            (other, _) => self.resume(pid, other),
        }
    }

    fn is_fresh(&mut self, pid: i32) -> bool {
        self.tracees.get_mut(&pid).is_some_and(|tracee| std::mem::take(&mut tracee.fresh))
    }

    fn follows_children(&self) -> bool {
        match &self.wish {
            Some(Wish::Reference) => true,
            Some(Wish::Aim(aim)) => aim.point.process > 0,
            _ => false,
        }
    }

    /// It may have been killed meanwhile: the next wait tells.
    fn resume(&self, pid: i32, signal: i32) {
        let _ = ptrace::resume(pid, self.is_watched(pid), signal);
    }

    /// Whether its calls are of interest still.
    fn is_watched(&self, pid: i32) -> bool {
        let Some(tracee) = self.tracees.get(&pid) else { return false };
        match &self.wish {
            Some(Wish::Aim(aim)) => {
                let lasts = matches!(aim.fault, Fault::Storm | Fault::Error(_, Lasting::Always));
                tracee.process == aim.point.process && (!self.struck || lasts || tracee.pending.is_some())
            }
            Some(_) => true,
            None => false,
        }
    }

    fn bore(&mut self, pid: i32) {
        if let (Ok(child), Some(parent)) = (ptrace::message(pid), self.tracees.get(&pid)) {
            let process = if is_thread_of(child, pid) { parent.process } else { self.traces.len() };
            let role = match parent.role {
                Role::Parent if process != parent.process => Role::Trampoline,
                role => role,
            };
            if process == self.traces.len() {
                self.traces.push(Trace::default());
            }
            let early = self.early.remove(&child);
            self.tracees.insert(child, Tracee::new(process, role, !early));
            if early {
                self.resume(child, 0);
            }
        }
        self.resume(pid, 0);
    }

    /// The first program of a child is init; the next one is not ours to follow.
    fn executed(&mut self, pid: i32) {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return };
        match tracee.role {
            Role::Parent => {}
            Role::Trampoline => tracee.role = Role::Init,
            Role::Init => {
                self.tracees.remove(&pid);
                let _ = ptrace::detach(pid, 0);
                return;
            }
        }
        self.resume(pid, 0);
    }

    fn at_call(&mut self, pid: i32) {
        match ptrace::stop(pid) {
            Stop::Entry(number, arguments) => self.enters(pid, number, arguments),
            Stop::Exit => self.leaves(pid),
            Stop::Other => self.resume(pid, 0),
        }
    }

    fn leaves(&mut self, pid: i32) {
        let pending = self.tracees.get_mut(&pid).and_then(|tracee| tracee.pending.take());
        match pending {
            Some(Pending::Kill) => kill(pid, libc::SIGKILL),
            Some(Pending::Answer(answer)) => {
                let _ = ptrace::change(pid, |registers| registers.rax = answer as u64);
            }
            None => {}
        }
        self.resume(pid, 0);
    }

    fn enters(&mut self, pid: i32, number: u64, arguments: [u64; 3]) {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return };
        let again = std::mem::replace(&mut tracee.last, (number, arguments)) == (number, arguments);
        let (process, role) = (tracee.process, tracee.role);
        if let Some(trace) = self.traces.get_mut(process) {
            trace.calls.push((role, number));
        }
        let Some(Wish::Aim(aim)) = &self.wish else { return self.resume(pid, 0) };
        if process == aim.point.process {
            let aim = aim.clone();
            let here = self.traces[process].calls.len() == aim.point.ordinal;
            if here {
                self.struck = true;
                self.drifted = !same(&self.traces[process].calls, &aim.reference.calls);
            }
            if self.struck && (here || !again) && self.strike(pid, number, arguments, &aim, here) {
                return;
            }
        }
        self.resume(pid, 0);
    }

    /// True if the process is not to be resumed.
    fn strike(&mut self, pid: i32, number: u64, arguments: [u64; 3], aim: &Aim, here: bool) -> bool {
        match aim.fault {
            Fault::Kill if here => kill(pid, libc::SIGKILL),
            Fault::KillAfter if here => self.owe(pid, Pending::Kill),
            Fault::Error(errno, lasting) => {
                let point = aim.reference.calls.get(aim.point.ordinal - 1).map(|call| call.1);
                // Where the trace has drifted it may be a call that can't fail so.
                let is_struck = point == Some(number) && (here || lasting == Lasting::Always);
                // What it has to say about all this must be heard.
                let speaks = number == libc::SYS_write as u64 && arguments[0] == 2;
                // A limit of one's own can always be asked for.
                let asks = number == libc::SYS_prlimit64 as u64 && arguments[2] == 0;
                if is_struck && !speaks && !asks {
                    self.fail(pid, number, errno.raw_os_error());
                }
            }
            Fault::Short if here && arguments[2] > 1 && can_be_short(pid, arguments[0]) => {
                let _ = ptrace::change(pid, |registers| registers.rdx = 1);
            }
            Fault::Storm => {
                self.storms += 1;
                kill(pid, IDLE[self.storms % IDLE.len()]);
            }
            Fault::Stop if here => {
                self.tracees.remove(&pid);
                let _ = ptrace::detach(pid, libc::SIGSTOP);
                sleep(STANDSTILL);
                kill(pid, libc::SIGCONT);
                return true;
            }
            _ => {}
        }
        false
    }

    /// A descriptor is closed even if the kernel has something to say about it.
    fn fail(&mut self, pid: i32, number: u64, errno: i32) {
        if number != libc::SYS_close as u64 {
            let _ = ptrace::change(pid, |registers| registers.orig_rax = u64::MAX);
        }
        self.owe(pid, Pending::Answer(-i64::from(errno)));
    }

    fn owe(&mut self, pid: i32, pending: Pending) {
        if let Some(tracee) = self.tracees.get_mut(&pid) {
            tracee.pending = Some(pending);
        }
    }
}

/// Whether one begins as the other does, as far as it goes.
fn same(now: &[(Role, u64)], reference: &[(Role, u64)]) -> bool {
    reference.get(..now.len()) == Some(now)
}

fn is_thread_of(thread: i32, pid: i32) -> bool {
    let group = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<i32>().ok())
    };
    group(thread).is_some_and(|found| Some(found) == group(pid))
}

/// The kernel moves fewer bytes than it was asked to only to and from files that lie somewhere, and pipes; what control
/// files take, they take as a whole.
fn can_be_short(pid: i32, descriptor: u64) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    const EXT: i64 = 0xef53;
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let target = fs::read_link(&path).unwrap_or_default();
    let text = target.to_string_lossy();
    let lies = || rustix::fs::statfs(&path).is_ok_and(|found| [TMPFS, EXT].contains(&found.f_type));
    text.starts_with("pipe:") || text.starts_with('/') && lies()
}

pub(super) fn kill(pid: i32, signal: i32) {
    // SAFETY: this touches no memory.
    unsafe { libc::kill(pid, signal) };
}
