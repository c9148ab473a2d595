//! x86_64: the entry point, the system call instruction and the call numbers. Another architecture is another file
//! like this one.

use core::arch::asm;
#[cfg(init)]
use core::arch::global_asm;

// The kernel starts us with the argument count at the top of the stack and no return address.
#[cfg(init)]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {enter}",
    "ud2",
    enter = sym super::enter,
);

/// A system call with six arguments; the kernel's raw answer.
///
/// # Safety
/// The arguments must be what the call with this number expects.
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let answer: isize;
    // SAFETY: the caller answers for the arguments; the instruction clobbers only rcx, r11 and memory.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// `clone` of a thread onto a stack of its own, where it calls `body`. The kernel's raw answer.
///
/// # Safety
/// `flags` must be those of a thread, and `stack` the end of memory that is writable, aligned to 16 bytes and nobody
/// else's.
pub unsafe fn clone_thread(flags: usize, stack: usize, body: extern "C" fn() -> !) -> isize {
    let answer: isize;
    // SAFETY: the caller answers for the arguments; the thread leaves this frame, which isn't its own, by the call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") number::CLONE as isize => answer,
            in("rdi") flags,
            in("rsi") stack,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            in("r12") body,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}

/// System call numbers.
pub mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const MADVISE: usize = 28;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const SCHED_YIELD: usize = 24;
    pub const SOCKET: usize = 41;
    pub const SENDTO: usize = 44;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const EXIT: usize = 60;
    pub const FCNTL: usize = 72;
    pub const FCHMOD: usize = 91;
    pub const FCHOWN: usize = 93;
    pub const FSETXATTR: usize = 190;
    pub const FGETXATTR: usize = 193;
    pub const FLISTXATTR: usize = 196;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const FCHDIR: usize = 81;
    pub const CHDIR: usize = 80;
    pub const GETCWD: usize = 79;
    pub const UMASK: usize = 95;
    pub const SETSID: usize = 112;
    pub const SETGROUPS: usize = 116;
    pub const SETRESUID: usize = 117;
    pub const SETRESGID: usize = 119;
    pub const CAPSET: usize = 126;
    pub const PERSONALITY: usize = 135;
    pub const FSTATFS: usize = 138;
    pub const PIVOT_ROOT: usize = 155;
    pub const PRCTL: usize = 157;
    pub const CHROOT: usize = 161;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const SETDOMAINNAME: usize = 171;
    pub const GETDENTS64: usize = 217;
    pub const EXIT_GROUP: usize = 231;
    pub const SET_MEMPOLICY: usize = 238;
    pub const KEYCTL: usize = 250;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const MKNODAT: usize = 259;
    pub const FCHOWNAT: usize = 260;
    pub const UNLINKAT: usize = 263;
    pub const SYMLINKAT: usize = 266;
    pub const READLINKAT: usize = 267;
    pub const UNSHARE: usize = 272;
    pub const ACCEPT4: usize = 288;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const SECCOMP: usize = 317;
    pub const STATX: usize = 332;
    pub const PIDFD_SEND_SIGNAL: usize = 424;
    pub const OPEN_TREE: usize = 428;
    pub const MOVE_MOUNT: usize = 429;
    pub const CLOSE_RANGE: usize = 436;
    pub const OPENAT2: usize = 437;
    pub const FACCESSAT2: usize = 439;
    pub const MOUNT_SETATTR: usize = 442;
    pub const OPEN_TREE_ATTR: usize = 467;
}
