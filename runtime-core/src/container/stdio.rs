//! What the standard streams of a program are.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::error::{Context, Result};

/// One standard stream of a program.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Stream {
    /// The one of this process.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe, whose other end the caller takes from the [`Process`](super::Process).
    Pipe,
    /// Something that the caller has opened. The program gets it itself, not a copy of what comes by.
    Fd(Arc<OwnedFd>),
}

impl Stream {
    /// A file, a socket, or the end of a pipe.
    pub fn of(opened: impl Into<OwnedFd>) -> Self {
        Stream::Fd(Arc::new(opened.into()))
    }
}

/// The standard streams of a program. One that has a terminal (`process.terminal`) has that instead.
#[derive(Debug, Clone, Default)]
pub struct Stdio {
    /// Where it reads.
    pub stdin: Stream,
    /// Where it writes.
    pub stdout: Stream,
    /// Where it complains.
    pub stderr: Stream,
}

impl Stdio {
    /// `/dev/null` three times.
    pub fn null() -> Self {
        Stdio { stdin: Stream::Null, stdout: Stream::Null, stderr: Stream::Null }
    }

    /// A pipe for each.
    pub fn pipes() -> Self {
        Stdio { stdin: Stream::Pipe, stdout: Stream::Pipe, stderr: Stream::Pipe }
    }

    /// Opens what is to be opened. The program's ends are there until they are dropped, when it has them.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn open(&self) -> Result<(Ends, Pipes)> {
        let (mut ends, mut pipes) = (Ends::default(), Pipes::default());
        ends.0[0] = End::reading(&self.stdin, &mut pipes.stdin)?;
        ends.0[1] = End::writing(&self.stdout, &mut pipes.stdout)?;
        ends.0[2] = End::writing(&self.stderr, &mut pipes.stderr)?;
        Ok((ends, pipes))
    }
}

/// The caller's ends of the pipes.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

/// The program's ends.
#[derive(Debug, Default)]
pub(super) struct Ends([End; 3]);

impl Ends {
    /// Puts them in place of this process's own streams.
    pub(super) fn replace<'a>(&'a self, inherited: &mut [BorrowedFd<'a>]) {
        for (place, end) in inherited.iter_mut().zip(&self.0) {
            match end {
                End::Inherited => {}
                End::Ours(fd) => *place = fd.as_fd(),
                End::Callers(fd) => *place = fd.as_fd(),
            }
        }
    }
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Inherited,
    Ours(OwnedFd),
    Callers(Arc<OwnedFd>),
}

impl End {
    fn reading(stream: &Stream, other: &mut Option<PipeWriter>) -> Result<Self> {
        Self::of(stream, |reader, writer| {
            *other = Some(writer);
            reader.into()
        })
    }

    fn writing(stream: &Stream, other: &mut Option<PipeReader>) -> Result<Self> {
        Self::of(stream, |reader, writer| {
            *other = Some(reader);
            writer.into()
        })
    }

    /// `choose` takes the program's end of a pipe.
    fn of(stream: &Stream, choose: impl FnOnce(PipeReader, PipeWriter) -> OwnedFd) -> Result<Self> {
        Ok(match stream {
            Stream::Inherit => End::Inherited,
            Stream::Null => {
                let null = open("/dev/null", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
                End::Ours(null.doing(|| "cannot open /dev/null".into())?)
            }
            Stream::Pipe => {
                let made = pipe().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
                let (reader, writer) = made.doing(|| "cannot make a pipe".into())?;
                End::Ours(choose(reader, writer))
            }
            Stream::Fd(opened) => End::Callers(Arc::clone(opened)),
        })
    }
}
