//! Runs a command in a world without some system calls, as an old kernel or a sandbox that doesn't know them is:
//! `without ERRNO CALL[,CALL…] COMMAND [ARGUMENT…]`. Who is behind the filter can't get rid of it.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The calls that have older ways.
const CALLS: [(&str, libc::c_long); 9] = [
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("faccessat2", libc::SYS_faccessat2),
    ("fsopen", libc::SYS_fsopen),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("openat2", libc::SYS_openat2),
    ("pidfd_open", libc::SYS_pidfd_open),
];
/// 6.15 brought another one, which whoever doesn't know `open_tree` doesn't know either.
const OPEN_TREE_ATTR: libc::c_long = 467;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [errno, names, program, rest @ ..] = arguments.as_slice() else {
        panic!("without ERRNO CALL[,CALL…] COMMAND [ARGUMENT…]");
    };
    let errno: u32 = errno.parse().expect("an errno is a number");
    let mut numbers: Vec<libc::c_long> = names.split(',').map(number).collect();
    if numbers.contains(&libc::SYS_open_tree) {
        numbers.push(OPEN_TREE_ATTR);
    }
    if !rustix::process::geteuid().is_root() {
        rustix::thread::set_no_new_privs(true).expect("what an ordinary user's filter takes");
    }
    forbid(&numbers, errno);
    panic!("{program}: {}", Command::new(program).args(rest).exec());
}

fn number(name: &str) -> libc::c_long {
    CALLS.iter().find(|(call, _)| *call == name).unwrap_or_else(|| panic!("{name} has no older way")).1
}

fn forbid(numbers: &[libc::c_long], errno: u32) {
    const NUMBER: u32 = 0;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, NUMBER)];
    for number in numbers {
        let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        program.push(libc::sock_filter { code: jump, jt: 0, jf: 1, k: *number as u32 });
        program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program lives through the call, which copies it.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(answer, 0, "the filter is not loaded: {}", std::io::Error::last_os_error());
}
