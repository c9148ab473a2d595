//! A command on a terminal of the test's making, as a user has it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::command::{Exit, claim, disclaim, ends_within};

/// How long a dialogue may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The size of every terminal of the tests.
pub const SIZE: Winsize = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };

/// A command on a terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    user: File,
    seen: String,
}

impl Terminal {
    /// Starts a command on a new terminal, which is its controlling one.
    ///
    /// # Panics
    /// When there is no terminal to be had.
    pub fn open(mut command: Command) -> Self {
        let user =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&user).and_then(|()| unlockpt(&user)).expect("a terminal can be used");
        let name = ptsname(&user, Vec::new()).expect("a terminal has a name");
        let name = name.to_str().expect("a terminal has a plain name");
        let program: OwnedFd = File::options().read(true).write(true).open(name).expect("a terminal").into();
        tcsetwinsize(&user, SIZE).expect("a terminal has a size");
        let stream = || Stdio::from(program.try_clone().expect("a descriptor can be copied"));
        command.stdin(stream()).stdout(stream()).stderr(stream()).env("TERM", "xterm");
        let control = program.try_clone().expect("a descriptor can be copied");
        // SAFETY: between fork and exec this makes two system calls, on a descriptor that stays open.
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                Ok(ioctl_tiocsctty(&control)?)
            })
        };
        let child = command.spawn().expect("the command can be started");
        claim(child.id().cast_signed());
        Self { child, user: user.into(), seen: String::new() }
    }

    /// Types this.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn write(&mut self, text: &str) {
        self.user.write_all(text.as_bytes()).expect("a terminal takes what is typed");
    }

    /// Waits until this is seen.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect(&mut self, text: &str) {
        let start = Instant::now();
        while !self.seen.contains(text) {
            let more = start.elapsed() < PATIENCE && self.read();
            assert!(more || self.seen.contains(text), "{text:?} is not seen, but {:?}", self.seen);
        }
    }

    /// Changes the size, as a user does who pulls at a window.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ..SIZE };
        tcsetwinsize(&self.user, size).expect("a terminal can be resized");
    }

    /// Reads on until the command has ended; what was seen, and how it ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn finish(mut self) -> (String, Exit) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && self.read() {}
        let pid = self.child.id().cast_signed();
        if !ends_within(pid, PATIENCE) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            panic!("does not end; seen: {:?}", self.seen);
        }
        let exit = self.child.wait().expect("a child can be waited for").into();
        disclaim(pid);
        (self.seen, exit)
    }

    /// Reads what there is within a second; false when nobody has the other side any more.
    fn read(&mut self) -> bool {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&self.user, PollFlags::IN)], Some(&second)) == Ok(0) {
            return true;
        }
        let mut buffer = [0; 4096];
        let length = self.user.read(&mut buffer).unwrap_or_default();
        self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        length > 0
    }
}
