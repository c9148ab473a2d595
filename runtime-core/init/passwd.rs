//! The home directory of a user, from the container's own /etc/passwd. The file is the image's: it may be anything.

use core::ffi::CStr;

use crate::sys::{self, Fd, HERE, file_type, open};

const PREFIX: &[u8] = b"HOME=";

/// No honest passwd file is larger.
const MOST_BYTES: usize = 1 << 20;

/// The variable with the home directory.
pub struct Home([u8; 512]);

impl Home {
    /// `HOME=` with the directory of that user, or with `/` when there is none to be found.
    #[inline(never)]
    pub fn of(uid: u32) -> Self {
        let mut line = Line { bytes: [0; 2048], length: 0, variable: [0; 512] };
        if !open_passwd().is_some_and(|file| line.find(&file, uid)) {
            line.set_variable(0, 0);
        }
        Home(line.variable)
    }

    pub fn variable(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"HOME=/")
    }
}

/// Room for one line of the file, and for the variable made of it.
struct Line {
    bytes: [u8; 2048],
    length: usize,
    variable: [u8; 512],
}

impl Line {
    /// Reads line by line; stops at the user's.
    fn find(&mut self, file: &Fd, uid: u32) -> bool {
        let mut chunk = [0; 2048];
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
    let file = sys::openat(HERE, c"/etc/passwd", open::NONBLOCK | open::NO_TERMINAL, 0).ok()?;
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
