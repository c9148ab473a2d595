//! One stream of frames, which never waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::Frame;

/// A connection that is over: its other end is closed, or sends what can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// A socket, and what has come and what is still to go.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    come: Vec<u8>,
    to_go: Vec<u8>,
}

impl Connection {
    /// The socket must be one that doesn't block.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Connection { socket, come: Vec::new(), to_go: Vec::new() }
    }

    /// What has to be waited for.
    pub(crate) fn interest(&self) -> PollFlags {
        match self.to_go.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        }
    }

    /// Whether everything was sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.to_go.is_empty()
    }

    /// Sends a frame, now or when there is room.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn send(&mut self, frame: &Frame) -> Result<(), Closed> {
        frame.write(&mut self.to_go);
        self.flush()
    }

    /// Sends what there is room for.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        while !self.to_go.is_empty() {
            match send(&self.socket, &self.to_go, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.to_go.drain(..sent)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Closed),
            }
        }
        // Idle connections keep nothing.
        self.to_go = Vec::new();
        Ok(())
    }

    /// Takes the frames that have come whole.
    ///
    /// # Errors
    /// [`Closed`].
    pub(crate) fn receive(&mut self) -> Result<Vec<Frame>, Closed> {
        let mut buffer = [0; 4096];
        let mut frames = Vec::new();
        loop {
            match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) if frames.is_empty() => return Err(Closed),
                Ok((0, _)) => break,
                Ok((read, _)) => self.come.extend(buffer.get(..read).unwrap_or_default()),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(_) => return Err(Closed),
            }
            while let Some(frame) = Frame::take(&mut self.come).map_err(|_| Closed)? {
                frames.push(frame);
            }
        }
        if self.come.is_empty() {
            self.come = Vec::new();
        }
        Ok(frames)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::Kind;
    use super::*;

    fn pair() -> (Connection, Connection) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        (Connection::new(one.into()), Connection::new(other.into()))
    }

    #[test]
    fn frames_go_through_and_nothing_waits() {
        let (mut one, mut other) = pair();
        assert_eq!(other.receive(), Ok(vec![]));
        let frame = Frame { stream: 1, kind: Kind::Request, body: vec![7; 10_000] };
        one.send(&frame).unwrap();
        assert!(one.is_flushed());
        assert_eq!(other.receive(), Ok(vec![frame]));
        drop(one);
        assert_eq!(other.receive(), Err(Closed));
    }

    #[test]
    fn what_finds_no_room_is_kept() {
        let (mut one, mut other) = pair();
        let frame = Frame { stream: 1, kind: Kind::Request, body: vec![7; 3 << 20] };
        one.send(&frame).unwrap();
        assert!(one.interest().contains(PollFlags::OUT));
        let mut come = Vec::new();
        while come.is_empty() {
            come = other.receive().unwrap();
            one.flush().unwrap();
        }
        assert_eq!((come, one.interest()), (vec![frame], PollFlags::IN));
    }
}
