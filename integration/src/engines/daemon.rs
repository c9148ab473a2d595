//! A daemon that a test starts by hand and stops by its pid.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::command::{claim, disclaim, ends_within};
use crate::engines::Room;
use crate::leaks::soon;

/// How long a daemon may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon that runs in a room.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(room: &Room, program: &str, arguments: &[&str], answers: impl Fn() -> bool) -> Self {
        let mut command = room.command(program);
        command.args(arguments);
        Self::of(room, program, command, answers)
    }

    /// The same of a daemon that is called so.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn of(room: &Room, program: &str, mut command: Command, answers: impl Fn() -> bool) -> Self {
        let log = room.outside(&room.path(&format!("{program}.log")));
        let file = File::create(&log).expect("a log can be kept");
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(file.try_clone().expect("a descriptor can be copied")).stderr(file);
        let follow = || Ok(set_parent_process_death_signal(Some(Signal::TERM))?);
        // SAFETY: between fork and exec this makes one system call.
        unsafe { command.pre_exec(follow) };
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        claim(child.id().cast_signed());
        let mut daemon = Self { child, log };
        let ready = soon(PATIENCE, || (daemon.ended() || answers()).then(|| !daemon.ended()));
        assert_eq!(ready, Some(true), "{program} does not answer:\n{}", daemon.log());
        daemon
    }

    fn ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// What it has written last.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = self.child.id().cast_signed();
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if !ends_within(pid, PATIENCE) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        disclaim(pid);
    }
}
