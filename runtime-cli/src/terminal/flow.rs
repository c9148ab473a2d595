//! One direction: what was read and is not yet written.

use std::os::fd::AsFd;

use rustix::io::Errno;

// What a pipe that has room takes at once, so that writing to one that may block doesn't.
const ROOM: usize = 4096;

/// A small buffer between a source and a sink.
pub(super) struct Flow {
    buffer: [u8; ROOM],
    start: usize,
    end: usize,
    last: u8,
}

impl Default for Flow {
    fn default() -> Self {
        Flow { buffer: [0; ROOM], start: 0, end: 0, last: b'\n' }
    }
}

impl Flow {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether what went through so far is whole lines.
    pub(super) fn ends_a_line(&self) -> bool {
        self.last == b'\n'
    }

    /// Reads once, in place of what is in it; 0 is the end of the source.
    pub(super) fn fill(&mut self, source: impl AsFd) -> Result<usize, Errno> {
        self.discard();
        let read = rustix::io::read(source, &mut self.buffer)?;
        self.end = read;
        if let Some(last) = self.buffer.get(..read).and_then(<[u8]>::last) {
            self.last = *last;
        }
        Ok(read)
    }

    /// Takes these few bytes, in place of what is in it.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.discard();
        for (place, byte) in self.buffer.iter_mut().zip(bytes) {
            *place = *byte;
            self.end += 1;
        }
    }

    /// Writes once. That the sink takes nothing now is no error.
    pub(super) fn pour(&mut self, sink: impl AsFd) -> Result<(), Errno> {
        match rustix::io::write(sink, self.buffer.get(self.start..self.end).unwrap_or_default()) {
            Ok(written) => self.start += written,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    pub(super) fn discard(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}
