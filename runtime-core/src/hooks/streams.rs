//! What goes into a hook and comes out of it, and the wait for its end: the same for hooks on the host and inside the
//! container, whoever starts them.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{Errno, Result, fcntl_dupfd_cloexec, read, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_send_signal, waitid,
};

use super::{Hook, HookError, Kind, Problem};
use crate::state::State;

/// How much of what a hook prints is kept, per stream, in bytes. The rest is read and counted.
const KEPT: usize = 64 << 10;
/// How much a pipe holds by default, in bytes.
const PIPE: usize = 64 << 10;
/// How long a killed hook has to disappear: one in the middle of a disk access may take its time.
const DEATH: Duration = Duration::from_secs(10);

/// The runtime's side of a hook's standard streams.
#[derive(Debug)]
pub struct Streams {
    printed: [Captured; 2],
}

/// The hook's side. All three descriptors are above 2, so that making them 0, 1 and 2 in any order is safe; they are
/// close-on-exec.
#[derive(Debug)]
pub struct ChildEnds {
    /// A file with the container's state in JSON, read from its beginning: a hook that doesn't read blocks nobody.
    pub stdin: OwnedFd,
    /// The writing end of a pipe.
    pub stdout: OwnedFd,
    /// The writing end of another pipe.
    pub stderr: OwnedFd,
}

impl Streams {
    /// Makes the streams of one hook that is told `state`.
    ///
    /// # Errors
    /// No descriptors or memory left; `EILSEQ` if a path in the state isn't UTF-8.
    pub fn new(state: &State) -> Result<(Streams, ChildEnds)> {
        let json = serde_json::to_vec(state).map_err(|_| Errno::ILSEQ)?;
        let stdin = above_stdio(filled(&json)?)?;
        let (stdout, child_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, child_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let ends =
            ChildEnds { stdin, stdout: above_stdio(child_stdout)?, stderr: above_stdio(child_stderr)? };
        Ok((Streams { printed: [Captured::from(stdout), Captured::from(stderr)] }, ends))
    }

    /// Waits until the hook ends or has had its time, and collects what it prints. The hook must be a child of this
    /// process and should lead a process group of its own; `pid` is as this process sees it. The caller's
    /// [`ChildEnds`] should be closed by now. Background processes that the hook leaves behind are not waited for.
    ///
    /// # Errors
    /// The hook failed, or was killed at its timeout together with its process group.
    pub fn supervise(
        mut self,
        pidfd: BorrowedFd<'_>,
        pid: Pid,
        hook: &Hook,
        kind: Kind,
        index: usize,
    ) -> std::result::Result<(), HookError> {
        let problem = match self.watch(pidfd, hook.timeout) {
            Ok(true) => verdict(pidfd),
            Ok(false) => Err(Problem::Timeout(hook.timeout.unwrap_or_default())),
            Err(errno) => Err(Problem::Watch(errno)),
        };
        if let Err(Problem::Timeout(_) | Problem::Watch(_)) = problem {
            end(pidfd, pid);
        }
        problem.map_err(|problem| {
            self.printed.iter_mut().for_each(Captured::drain);
            HookError::new(kind, index, hook, problem).with_output(self.printed)
        })
    }

    /// Reads until the hook ends (true) or its time is over (false).
    fn watch(&mut self, pidfd: BorrowedFd<'_>, limit: Option<Duration>) -> Result<bool> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if self.step(pidfd, left)? {
                return Ok(true);
            }
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
        }
    }

    /// Waits for the next event, reads what there is, and says whether the hook has ended.
    fn step(&mut self, pidfd: BorrowedFd<'_>, left: Option<Duration>) -> Result<bool> {
        // A stream at its end would be reported for ever; no event of the pidfd takes its place.
        let none = PollFd::from_borrowed_fd(pidfd, PollFlags::empty());
        let [stdout, stderr] = self.printed.each_ref().map(|stream| stream.awaited().unwrap_or(none.clone()));
        let [ended, stdout, stderr] =
            ready([PollFd::from_borrowed_fd(pidfd, PollFlags::IN), stdout, stderr], left)?;
        for (stream, ready) in self.printed.iter_mut().zip([stdout, stderr]) {
            if ready {
                stream.take();
            }
        }
        Ok(ended)
    }
}

/// Which of these have something to tell, within this time.
fn ready<const N: usize>(mut fds: [PollFd<'_>; N], left: Option<Duration>) -> Result<[bool; N]> {
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, left.as_ref()) {
        Ok(_) => Ok(fds.map(|fd| !fd.revents().is_empty())),
        Err(Errno::INTR) => Ok([false; N]),
        Err(errno) => Err(errno),
    }
}

fn verdict(pidfd: BorrowedFd<'_>) -> std::result::Result<(), Problem> {
    // It has ended, but where somebody traces it he is told first.
    let status = reap(pidfd, WaitIdOptions::EXITED).ok_or(Problem::Lost)?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => Ok(()),
        (Some(status), _) => Err(Problem::Status(status)),
        (None, signal) => Err(Problem::Signal(signal.unwrap_or_default())),
    }
}

fn reap(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> Option<WaitIdStatus> {
    retry_on_intr(|| waitid(WaitId::PidFd(pidfd), options)).ok().flatten()
}

/// Kills a hook and its process group, and waits a while for its death.
fn end(pidfd: BorrowedFd<'_>, pid: Pid) {
    kill_group(pid);
    // It may have left the group.
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    let _ = ready([PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], Some(DEATH));
    reap(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// Kills the process group of a hook that has not been reaped, so that no other group can have its number. There is
/// nothing to do about a failure.
pub(super) fn kill_group(pid: Pid) {
    // To signal "group 1" means to signal every process there is.
    if pid != Pid::INIT {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// A file in memory with this content, whose position is at its beginning.
fn filled(content: &[u8]) -> Result<OwnedFd> {
    let file = File::from(memory_file(c"hook-state")?);
    file.write_all_at(content, 0)
        .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?;
    Ok(file.into())
}

// KERNEL(6.3): older kernels don't know the flag without which newer ones may be configured to refuse.
fn memory_file(name: &CStr) -> Result<OwnedFd> {
    match memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, MemfdFlags::CLOEXEC),
        file => file,
    }
}

/// The caller may have closed its own standard streams.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => fcntl_dupfd_cloexec(&fd, 3),
        _ => Ok(fd),
    }
}

/// What a hook printed.
#[derive(Debug)]
pub(super) struct Captured {
    /// Where more may come from; none after its end.
    source: Option<OwnedFd>,
    kept: Vec<u8>,
    /// How many bytes came after those.
    dropped: usize,
}

impl From<OwnedFd> for Captured {
    fn from(source: OwnedFd) -> Self {
        Captured { source: Some(source), kept: Vec::new(), dropped: 0 }
    }
}

impl Captured {
    /// What to wait for; nothing after its end.
    fn awaited(&self) -> Option<PollFd<'_>> {
        self.source.as_ref().map(|source| PollFd::new(source, PollFlags::IN))
    }

    /// Reads once; returns how much came. Nobody else reads, so that this doesn't block after a poll.
    fn take(&mut self) -> usize {
        let mut buffer = [0; 8 << 10];
        let length = match self.source.as_ref().map(|source| read(source, &mut buffer)) {
            Some(Ok(length)) if length > 0 => length,
            _ => {
                self.source = None;
                0
            }
        };
        let room = KEPT.saturating_sub(self.kept.len()).min(length);
        self.kept.extend(buffer.iter().take(room));
        self.dropped += length - room;
        length
    }

    /// Reads what is still in the pipe, but not what a background process goes on to print for ever.
    pub(super) fn drain(&mut self) {
        let mut taken = 0;
        while let Some(awaited) = self.awaited()
            && taken < PIPE
            && ready([awaited], Some(Duration::ZERO)) == Ok([true])
        {
            taken += self.take();
        }
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.kept).trim_end())?;
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, " [{dropped} more bytes]"),
        }
    }
}
