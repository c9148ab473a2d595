//! `prober hunt`: tries to get hold of every process that appears, as a hostile container would during an `exec`
//! (CVE-2016-9962, CVE-2019-5736), and says what it got of one that does not run a program of the container yet.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Hunts for ever; a line for each catch.
pub fn hunt() -> ! {
    println!("hunting");
    let mine = capabilities("self", "CapBnd:").unwrap_or_default();
    loop {
        for pid in fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .parse::<i32>()
                .ok()
                .filter(|pid| *pid != std::process::id().cast_signed())
        }) {
            look_at(pid);
            compare(pid, mine);
            attach(pid);
        }
    }
}

/// Whoever may trace it has what it has.
fn compare(pid: i32, mine: u64) {
    let theirs = ["CapPrm:", "CapBnd:"].map(|set| capabilities(&pid.to_string(), set).unwrap_or_default());
    if theirs.iter().any(|theirs| theirs & !mine != 0) {
        println!("caught: {pid} has more capabilities than we: {theirs:x?}");
    }
}

fn capabilities(process: &str, set: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    u64::from_str_radix(status.lines().find_map(|line| line.strip_prefix(set))?.trim(), 16).ok()
}

/// What it executes and what it holds open.
fn look_at(pid: i32) {
    let process = Path::new("/proc").join(pid.to_string());
    if let Ok(program) = fs::read_link(process.join("exe")) {
        tell_if_strange(pid, "executes", &program);
        overwrite(&process.join("exe"));
    }
    for descriptor in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        if let (Ok(target), Ok(_)) = (fs::read_link(descriptor.path()), fs::metadata(descriptor.path())) {
            tell_if_strange(pid, "holds open", &target);
        }
    }
}

/// Writes to what a process executes, as soon as it no longer does (CVE-2019-5736): the byte that is there already.
fn overwrite(program: &Path) {
    const TRIES: u32 = 20;
    let Ok(mut file) = File::open(program) else { return };
    let known = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let mut first = [0];
    if known.starts_with("/bin") || file.read_exact(&mut first).is_err() {
        return;
    }
    for _ in 0..TRIES {
        let again = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if again.is_ok_and(|mut again| again.write_all(&first).is_ok()) {
            return println!("caught: could write to {}", known.display());
        }
        std::thread::yield_now();
    }
}

fn attach(pid: i32) {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: no pointer is followed; the process may be any.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) } != 0 {
        return;
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    tell_if_strange(pid, "could be traced while it executed", &program);
    // SAFETY: as above; the process is our tracee. It is stopped first, since only then it can be let go.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, pid, none, none);
    }
}

/// Programs and files of the container, what a program inherits, and the sealed init program with its plan are no catch.
fn tell_if_strange(pid: i32, how: &str, what: &Path) {
    let usual = ["/bin/", "/dev/", "/proc/", "/etc/", "pipe:", "socket:", "anon_inode:", "/memfd:runtime-"];
    let text = what.to_string_lossy();
    let output = text.contains("/integration-tests/");
    if !text.is_empty() && !usual.iter().any(|start| text.starts_with(start)) && !output {
        println!("caught: {pid} {how} {text}");
    }
}
