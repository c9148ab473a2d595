//! A program that reads a container's outputs, and writes them wherever it wants (`binary://`).
//!
//! It finds standard output as descriptor 3, standard error as 4, and closes 5 when it is ready. Descriptors are put in
//! their places by a helper, this binary once more: between fork and exec only unsafe code could do it.

use std::ffi::{OsStr, OsString};
use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use crate::refusal::{Doing, Refusal};

/// The helper's first argument.
const HELPER: &str = "logger";

/// Where a logger finds standard output; the others follow.
const FIRST: i32 = 3;

/// Whose outputs they are.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) namespace: String,
}

/// Starts a logger, waits until it is ready, and gives what the program writes to. It ends when nobody can write any more,
/// and is reaped as any child that nobody knows.
///
/// # Errors
/// It can't be started.
pub(super) fn start(
    program: &Path,
    arguments: &[String],
    subject: &Subject,
) -> Result<(OwnedFd, OwnedFd), Refusal> {
    let doing = || format!("cannot start the logger {}", program.display());
    access(program, Access::EXEC_OK).doing(doing)?;
    let ((out, stdout), (err, stderr), (mut ready, readiness)) = pipes().doing(doing)?;
    Command::new("/proc/self/exe")
        .args([OsStr::new(HELPER), program.as_os_str()])
        .args(arguments)
        .env_clear()
        .env("CONTAINER_ID", &subject.id)
        .env("CONTAINER_NAMESPACE", &subject.namespace)
        .stdin(OwnedFd::from(out))
        .stdout(OwnedFd::from(err))
        .stderr(OwnedFd::from(readiness))
        .spawn()
        .doing(doing)?;
    // One that ends closes it as well.
    ready.read(&mut [0]).doing(doing)?;
    Ok((stdout.into(), stderr.into()))
}

type Pipe = (PipeReader, PipeWriter);

fn pipes() -> std::io::Result<(Pipe, Pipe, Pipe)> {
    Ok((pipe()?, pipe()?, pipe()?))
}

/// Becomes a logger, if that is what this process was started for. Returns only to say why it doesn't.
pub(crate) fn helper(words: &[OsString]) -> Option<Refusal> {
    let [first, program, arguments @ ..] = words else { return None };
    (first == HELPER).then(|| become_logger(program, arguments).err()).flatten()
}

fn become_logger(program: &OsStr, arguments: &[OsString]) -> Result<(), Refusal> {
    let doing = || format!("cannot become {}", program.display());
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let given: [BorrowedFd<'_>; 3] = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut moved = Vec::new();
    for (number, fd) in (FIRST..).zip(given) {
        let copy = fcntl_dupfd_cloexec(fd, FIRST).doing(doing)?;
        fcntl_setfd(&copy, FdFlags::empty()).doing(doing)?;
        if copy.as_raw_fd() != number {
            return Err(Refusal::unknown(format!("{}: descriptor {number} is in use", doing())));
        }
        moved.push(copy);
    }
    let null = Stdio::null;
    Err(Command::new(program).args(arguments).stdin(null()).stdout(null()).stderr(null()).exec()).doing(doing)
}
