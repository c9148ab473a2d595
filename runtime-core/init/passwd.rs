//! The home directory of a user, from the container's own /etc/passwd. The file is the image's: it may be anything.

use core::ffi::CStr;

use crate::sys::{self, Fd, HERE, file_type, open};

const PREFIX: &[u8] = b"HOME=";

/// No honest passwd file is larger.
const MOST_BYTES: usize = 1 << 20;

/// Room for one line of the file, and for the variable made of it.
pub struct Line {
    bytes: [u8; 4096],
    length: usize,
    variable: [u8; 4096],
}

impl Line {
    pub fn new() -> Self {
        Line { bytes: [0; 4096], length: 0, variable: [0; 4096] }
    }

    /// `HOME=` with the directory of that user, or with `/` when there is none to be found.
    pub fn home_variable(&mut self, uid: u32) -> &CStr {
        if !open_passwd().is_some_and(|file| self.find(&file, uid)) {
            self.set_variable(0, 0);
        }
        CStr::from_bytes_until_nul(&self.variable).unwrap_or(c"HOME=/")
    }

    /// Reads line by line; stops at the user's.
    fn find(&mut self, file: &Fd, uid: u32) -> bool {
        let mut chunk = [0; 4096];
        let mut total = 0;
        while total < MOST_BYTES {
            let read = match sys::read(file, &mut chunk) {
                Ok(0) | Err(_) => return self.length > 0 && self.take_home(uid),
                Ok(read) => read,
            };
            total += read;
            for byte in chunk.iter().take(read) {
                if *byte == b'\n' {
                    if self.take_home(uid) {
                        return true;
                    }
                    self.length = 0;
                } else if let Some(place) = self.bytes.get_mut(self.length) {
                    *place = *byte;
                    self.length += 1;
                }
            }
        }
        false
    }

    /// Whether this line is the user's and names a directory; then the variable is set.
    fn take_home(&mut self, uid: u32) -> bool {
        let line = self.bytes.get(..self.length).unwrap_or_default();
        let field = |index: usize| line.split(|byte| *byte == b':').nth(index).unwrap_or_default();
        if decimal(field(2)) != Some(uid) || field(5).is_empty() {
            return false;
        }
        let before: usize = (0..5).map(|index| field(index).len() + 1).sum();
        let length = field(5).len();
        self.set_variable(before, length);
        true
    }

    fn set_variable(&mut self, start: usize, length: usize) {
        let directory = match self.bytes.get(start..start + length) {
            Some(directory) if !directory.is_empty() => directory,
            _ => b"/",
        };
        let text = PREFIX.iter().chain(directory).chain(&[0]);
        for (place, byte) in self.variable.iter_mut().zip(text) {
            *place = *byte;
        }
    }
}

/// The file, if it is a regular one: a planted pipe or device must not be read from.
fn open_passwd() -> Option<Fd> {
    let file = sys::openat(HERE, c"/etc/passwd", open::NONBLOCK, 0).ok()?;
    (sys::status(&file).ok()?.file_type() == file_type::REGULAR).then_some(file)
}

fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u32::from(digit))
    })
}
