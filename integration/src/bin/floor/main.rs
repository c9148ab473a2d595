//! The yardstick: the container of the default configuration, made with bare system calls and nothing else.
//!
//! `floor ROOTFS CGROUP PROGRAM [ARGUMENT]…` reads no configuration, checks nothing, keeps no state and explains no
//! failure: it exits with the number of the line that failed, folded into a byte. What it isolates is what the
//! default configuration asks for: new pid, network, ipc, uts, mount and cgroup namespaces, a cgroup with a device
//! program, the seven mounts, the default devices, masked and read-only paths, a read-only root that is pivoted to,
//! a session keyring, three capabilities, one rlimit, no new privileges. CGROUP is a directory of a cgroup2 tree; it
//! is made and removed.

#![no_main]
#![allow(clippy::macro_metavars_in_unsafe, reason = "all of this program is one system call after another")]

mod devices;
mod inside;

use std::ffi::{CStr, c_char, c_int};

/// Ends the process with a status that tells the place, when a call has failed.
#[macro_export]
macro_rules! must {
    ($call:expr) => {{
        // SAFETY: every argument is a number, or a text or record that outlives the call.
        let done = unsafe { $call };
        if i64::from(done) < 0 {
            // SAFETY: the call takes a number and does not return.
            unsafe { libc::_exit((line!() & 0x7f) as i32 | 0x80) };
        }
        done
    }};
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const NAMESPACES: i32 = libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP;

#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count < 4 {
        return 2;
    }
    // SAFETY: the kernel has put at least four texts and a null there.
    let (rootfs, cgroup, program) =
        unsafe { (CStr::from_ptr(*arguments.add(1)), CStr::from_ptr(*arguments.add(2)), arguments.add(3)) };
    must!(libc::mkdir(cgroup.as_ptr(), 0o755));
    let directory = must!(libc::open(cgroup.as_ptr(), libc::O_DIRECTORY | libc::O_CLOEXEC));
    devices::restrict(directory);
    let status = match clone_into(directory) {
        0 => inside::become_the_container(rootfs, program),
        child => wait_for(child),
    };
    must!(libc::rmdir(cgroup.as_ptr()));
    status
}

/// A child in new namespaces and in this cgroup; 0 in the child.
fn clone_into(cgroup: c_int) -> c_int {
    // SAFETY: all zeroes is what the kernel takes for "not asked for".
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.flags = u64::from(NAMESPACES.cast_unsigned()) | CLONE_INTO_CGROUP;
    how.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    how.cgroup = u64::from(cgroup.cast_unsigned());
    must!(libc::syscall(libc::SYS_clone3, &raw mut how, size_of_val(&how))) as c_int
}

fn wait_for(child: c_int) -> c_int {
    let mut status = 0;
    must!(libc::waitpid(child, &raw mut status, 0));
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}
