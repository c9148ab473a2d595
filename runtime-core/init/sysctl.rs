//! Kernel parameters, through a procfs that is known to be one.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Errno, Fd, open};

pub fn write(path: &CStr, value: &CStr) -> Outcome {
    let parameters = sys::proc_directory(c"sys").of(Call::TrustedProc)?;
    let file = sys::open_in_proc(&parameters, path, open::WRITE).of(Call::Open)?;
    write_whole(&file, value)
}

/// Writes at once: half of a value is another value.
pub fn write_whole(file: &Fd, value: &CStr) -> Outcome {
    let written = sys::write(file, value.to_bytes()).of(Call::Write)?;
    if written == value.to_bytes().len() { Ok(()) } else { Err(Fault::new(Call::Write, Errno::INVAL)) }
}
