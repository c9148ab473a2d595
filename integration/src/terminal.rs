//! Terminals that tests hold the other side of.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};

use serde_json::{Value, json};

use crate::bundle::shell;
use crate::command::DEADLINE;

/// A process that runs a shell script on a terminal.
pub fn on_terminal(config: &mut Value, script: &str) {
    config["process"]["terminal"] = json!(true);
    shell(config, script);
}

/// The side of a terminal at which people sit.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    said: Vec<u8>,
}

impl Terminal {
    /// A terminal of this size, and its other side, for a command.
    ///
    /// # Panics
    /// When there is none to be had.
    pub fn new(rows: u16, columns: u16) -> (Self, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).expect("a terminal can be made");
        rustix::pty::unlockpt(&master).expect("a terminal can be unlocked");
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).expect("a terminal has two sides");
        let terminal = Self::of(master);
        terminal.resize(rows, columns);
        (terminal, slave)
    }

    /// The one that a runtime has sent.
    pub fn of(master: OwnedFd) -> Self {
        Self { master: File::from(master), said: Vec::new() }
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When it is none.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a terminal has a size");
    }

    /// Presses keys.
    ///
    /// # Panics
    /// When it takes no more.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("a terminal takes keys");
    }

    /// Everything that has been said.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Waits until this has been said.
    ///
    /// # Panics
    /// When it is not within [`DEADLINE`].
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        let start = Instant::now();
        while !self.text().contains(text) {
            let more = start.elapsed() < DEADLINE && self.read();
            assert!(more || self.text().contains(text), "never said {text:?}: {:?}", self.text());
        }
    }

    /// Waits until nobody is left at the other side; everything that has been said.
    pub fn to_the_end(&mut self) -> String {
        let start = Instant::now();
        while start.elapsed() < DEADLINE && self.read() {}
        self.text()
    }

    /// Reads once; false at the end.
    fn read(&mut self) -> bool {
        let moment = Timespec::try_from(Duration::from_millis(100)).expect("a moment is short");
        let mut ready = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
        if poll(&mut ready, Some(&moment)) == Ok(0) {
            return true;
        }
        let mut buffer = [0; 8192];
        match self.master.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.said.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) => Errno::from_io_error(&error) == Some(Errno::INTR),
        }
    }
}

/// Somebody who waits for a descriptor.
#[derive(Debug)]
pub struct Receiver {
    listener: UnixListener,
    /// Where.
    pub path: PathBuf,
}

impl Receiver {
    /// Listens at this path.
    ///
    /// # Panics
    /// When that is impossible.
    pub fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket can be made");
        listener.set_nonblocking(true).expect("a socket may be asked without waiting");
        Self { listener, path: path.to_owned() }
    }

    /// What somebody has sent by now: the words, and the descriptor.
    ///
    /// # Panics
    /// When it is nothing, or not one message with one descriptor.
    pub fn receive(&self) -> (String, OwnedFd) {
        self.try_receive().expect("somebody has sent one descriptor")
    }

    /// The same; none if it is something else.
    pub fn try_receive(&self) -> Option<(String, OwnedFd)> {
        let (stream, _) = self.listener.accept().ok()?;
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).ok()?.bytes;
        let mut sent: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                sent.extend(descriptors);
            }
        }
        let words = String::from_utf8_lossy(&bytes[..read]).into_owned();
        sent.pop().filter(|_| sent.is_empty()).map(|descriptor| (words, descriptor))
    }
}
