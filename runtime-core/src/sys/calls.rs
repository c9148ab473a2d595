//! Which system calls there are, for those who run behind a filter that may not know them. Each is made with arguments
//! that no kernel takes.

use std::ptr::null;

use rustix::io::Errno;

const NO_DESCRIPTOR: i32 = -1;

/// Whether there is `clone3`.
pub(crate) fn has_clone3() -> bool {
    // SAFETY: the kernel refuses a structure of no size before it reads it.
    is_there(unsafe { libc::syscall(libc::SYS_clone3, null::<u8>(), 0) })
}

/// Whether there are `open_tree`, `move_mount` and `mount_setattr`. Without the privilege to mount, `move_mount` doesn't
/// say whether it is there, and isn't asked.
pub(crate) fn has_mounts(privileged: bool) -> bool {
    let path = c"".as_ptr();
    // SAFETY: the path is a C string, and without a descriptor nothing comes of it.
    let open = unsafe { libc::syscall(libc::SYS_open_tree, NO_DESCRIPTOR, path, 0) };
    let has_open = is_there(open);
    // SAFETY: the kernel refuses a structure of no size before it reads it.
    let change = unsafe { libc::syscall(libc::SYS_mount_setattr, NO_DESCRIPTOR, path, 0, null::<u8>(), 0) };
    let has_change = is_there(change);
    if !privileged {
        return has_open && has_change;
    }
    // SAFETY: the paths are C strings, and without a descriptor nothing comes of it.
    let moved = unsafe { libc::syscall(libc::SYS_move_mount, NO_DESCRIPTOR, path, NO_DESCRIPTOR, path, 0) };
    has_open && has_change && is_there(moved)
}

fn is_there(answer: libc::c_long) -> bool {
    let errno = Errno::from_io_error(&std::io::Error::last_os_error());
    answer >= 0 || !matches!(errno, Some(Errno::NOSYS | Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_them() {
        assert!(has_clone3() && has_mounts(true) && has_mounts(false));
    }
}
