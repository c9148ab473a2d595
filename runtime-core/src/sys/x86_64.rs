//! x86_64: the two things that need an instruction by name. Another architecture is another file like this one.

use std::arch::asm;

/// A system call that touches no thread-local state (no errno): for a child that shares our memory.
///
/// # Safety
/// The arguments must be what the call with this number expects.
pub(crate) unsafe fn syscall(number: i64, arguments: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = arguments;
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
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// A call that bears a child (`clone3`, `clone`), onto a stack of the child's own, where it calls `enter(argument)`,
/// which never returns. Answers like the kernel: the pid, or a negative errno.
///
/// # Safety
/// The call with this number must bear a child onto another stack, which is writable and unused; `argument` must be what
/// `enter` expects, for as long as the child shares this memory.
pub(crate) unsafe fn bear(
    number: i64,
    arguments: [usize; 5],
    enter: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let [first, second, third, fourth, fifth] = arguments;
    let answer: isize;
    // SAFETY: the parent falls through with all registers but the clobbered ones as they were; the child starts on its
    // own stack, aligned as a call demands, and never comes back.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number as isize => answer,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r12") argument,
            in("r13") enter,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}
