//! A program's terminal: what comes from its master goes to the output, and what comes from the input goes to it.
//!
//! Nothing here waits. Each direction has a buffer, and reads again when that is empty: so a program that takes no input
//! is still heard, and a client that doesn't listen holds back the program and nobody else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use runtime_core::container::Terminal;
use rustix::event::PollFlags;
use rustix::io::{Errno, read, write};

use crate::refusal::Refusal;
use crate::stdio::ConsoleEnds;

/// How many buffers are copied before others get their turn.
const ROUNDS: usize = 16;

/// As much as a terminal gives at once.
const SIZE: usize = 4096;

/// One direction.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
}

/// What became of one attempt to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    Some,
    /// One end isn't ready.
    Nothing,
    /// There is nothing to read any more.
    End,
}

impl Buffer {
    fn copy(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Copied {
        if self.bytes.is_empty() {
            let mut come = [0; SIZE];
            match read(from, &mut come) {
                // The terminal's other end is closed, or it is a fifo without a writer.
                Ok(0) | Err(Errno::IO) => return Copied::End,
                Ok(count) => self.bytes.extend(come.get(..count).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => return Copied::Nothing,
                Err(_) => return Copied::End,
            }
        }
        match write(to, &self.bytes) {
            Ok(count) => drop(self.bytes.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => return Copied::Nothing,
            // Nobody reads it, and the program is to go on.
            Err(_) => self.bytes.clear(),
        }
        Copied::Some
    }
}

/// A terminal with its two directions.
#[derive(Debug)]
pub(crate) struct Console {
    master: Terminal,
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    /// Ends of the output that are kept as long as something comes.
    held: Vec<OwnedFd>,
    to_program: Buffer,
    from_program: Buffer,
    is_over: bool,
}

impl Console {
    /// Connects a terminal.
    ///
    /// # Errors
    /// The kernel refuses to let it not wait.
    pub(crate) fn new(master: Terminal, ends: ConsoleEnds, held: Vec<OwnedFd>) -> Result<Self, Refusal> {
        let flags = rustix::fs::fcntl_getfl(&master);
        let set =
            flags.and_then(|flags| rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK));
        set.map_err(|errno| Refusal::unknown(format!("cannot prepare the terminal: {errno}")))?;
        Ok(Console {
            master,
            input: ends.input,
            output: ends.output,
            held,
            to_program: Buffer::default(),
            from_program: Buffer::default(),
            is_over: false,
        })
    }

    /// The terminal.
    pub(crate) fn terminal(&self) -> &Terminal {
        &self.master
    }

    /// Whether everything that the program wrote has arrived.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What has to be waited for.
    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut interests = Vec::new();
        let mut master = PollFlags::empty();
        match (&self.output, self.from_program.bytes.is_empty()) {
            (Some(output), false) => interests.push((output.as_fd(), PollFlags::OUT)),
            _ => master |= PollFlags::IN,
        }
        match (&self.input, self.to_program.bytes.is_empty()) {
            (_, false) => master |= PollFlags::OUT,
            (Some(input), true) => interests.push((input.as_fd(), PollFlags::IN)),
            (None, true) => {}
        }
        // A master that nobody waits for would still report that its other end is closed.
        if !master.is_empty() {
            interests.push((self.master.as_fd(), master));
        }
        interests
    }

    /// Copies what can be copied.
    pub(crate) fn copy(&mut self) {
        for _ in 0..ROUNDS {
            let (to, from) = (self.copy_to_program(), self.copy_from_program());
            if to != Copied::Some && from != Copied::Some {
                return;
            }
        }
    }

    fn copy_to_program(&mut self) -> Copied {
        let Some(input) = &self.input else { return Copied::Nothing };
        let copied = self.to_program.copy(input.as_fd(), self.master.as_fd());
        if copied == Copied::End {
            self.input = None;
        }
        copied
    }

    fn copy_from_program(&mut self) -> Copied {
        let copied = match &self.output {
            Some(output) => self.from_program.copy(self.master.as_fd(), output.as_fd()),
            None => self.discard(),
        };
        if copied == Copied::End {
            (self.is_over, self.output) = (true, None);
            self.held.clear();
        }
        copied
    }

    /// Nobody wants to see it, but the program is to go on.
    fn discard(&self) -> Copied {
        match read(&self.master, &mut [0; SIZE]) {
            Ok(0) | Err(Errno::IO) => Copied::End,
            Ok(_) => Copied::Some,
            Err(_) => Copied::Nothing,
        }
    }
}
