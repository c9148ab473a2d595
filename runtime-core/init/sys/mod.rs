//! The only unsafe room of the init program: entry, memory functions, and typed system calls. Only these last are there
//! when tests compile it.

#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
mod births;
mod calls;
mod files;
#[cfg(init)]
mod memory;
mod mounts;
pub mod old_mounts;
mod process;
mod procfs;
mod program;
mod seccomp;
mod sockets;
mod terminals;

#[cfg(init)]
use core::ffi::{CStr, c_char};

pub use births::*;
pub use calls::*;
pub use files::*;
pub use mounts::*;
pub use process::*;
pub use procfs::*;
pub use program::*;
pub use seccomp::*;
pub use sockets::*;
pub use terminals::*;

/// Called by the architecture's entry point with the kernel's initial stack: argument count, then arguments.
#[cfg(init)]
extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc and then argv at the top of the initial stack; argv ends with a null pointer.
    let argument = unsafe {
        match *stack {
            0 | 1 => c"",
            _ => CStr::from_ptr(*stack.add(2) as *const c_char),
        }
    };
    exit(crate::main(argument))
}

#[cfg(init)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(PANICKED)
}

/// The exit status after a bug of our own.
#[cfg(init)]
const PANICKED: i32 = 254;
