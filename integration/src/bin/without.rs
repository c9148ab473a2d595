//! Runs a command in a world without some system calls, as an old kernel or a sandbox that doesn't know them is:
//! `without ERRNO:CALL[,CALL…] COMMAND [ARGUMENT…]`. Who is behind the filter can't get rid of it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use integration::Missing;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [missing, program, rest @ ..] = arguments.as_slice() else {
        panic!("without ERRNO:CALL[,CALL…] COMMAND [ARGUMENT…]");
    };
    let missing: Missing = missing.parse().expect("ERRNO:CALL[,CALL…]");
    if !rustix::process::geteuid().is_root() {
        rustix::thread::set_no_new_privs(true).expect("what an ordinary user's filter takes");
    }
    forbid(&missing.numbers(), missing.errno.raw_os_error().cast_unsigned());
    panic!("{program}: {}", Command::new(program).args(rest).exec());
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
