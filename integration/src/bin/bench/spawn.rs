//! Starting a program cheaply and learning all about its end.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command takes, from before the spawn to after the wait; its output is thrown away.
///
/// # Errors
/// When it cannot be started, or does not exit with 0; the text names the command.
pub fn time(command: &mut Command) -> Result<Duration, String> {
    Ok(execute(command)?.0)
}

/// The largest resident set that a command reaches, in KiB.
///
/// # Errors
/// As [`time`].
pub fn peak(command: &mut Command) -> Result<i64, String> {
    // A vforked child would be charged with our own size at exec; one that is forked starts with next to nothing.
    // SAFETY: the closure does nothing.
    unsafe { command.pre_exec(|| Ok(())) };
    Ok(execute(command)?.1)
}

fn execute(command: &mut Command) -> Result<(Duration, i64), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let (status, peak) = wait(child.id().cast_signed());
    let time = start.elapsed();
    match status {
        0 => Ok((time, peak)),
        _ => Err(format!("{command:?} ended with wait status {status:#x}")),
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// As [`time`]; the text ends with the first line of its standard error.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{}: {}", output.status, said.lines().next().unwrap_or("without a word"))),
    }
}

fn wait(pid: i32) -> (i32, i64) {
    let mut status = 0;
    // SAFETY: all zeroes is a valid record of usage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both records outlive the call; the child is waited for nowhere else.
    unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    (status, usage.ru_maxrss)
}
