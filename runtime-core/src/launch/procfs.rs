//! What only the parent may write about a process that is not yet the user's.

use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Result};

/// Writes a file of the process's directory in /proc, in one write. The process is ours and not reaped, so its id
/// can't have become another's.
pub(super) fn write(pid: u32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let doing = || format!("cannot write {path}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?;
    rustix::io::write(&file, text.as_bytes()).doing(doing).map(|_| ())
}

/// Sets how willingly the kernel kills the process when memory runs out.
pub(super) fn write_oom_score_adj(pid: u32, score: i32) -> Result<()> {
    write(pid, "oom_score_adj", &score.to_string())
}
