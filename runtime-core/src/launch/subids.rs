//! `newuidmap` and `newgidmap`: who may write what an ordinary user may not, as far as an administrator allows it in
//! `/etc/subuid` and `/etc/subgid`.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, CWD, MemfdFlags, Mode, OFlags, access, openat};
use rustix::io::{Errno, pread};
use rustix::process::{PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::error::{Context, Error, Result};
use crate::plan::IdMap;
use crate::sys::process::wait_for_end;
use crate::sys::spawn::Program;

/// How long a helper may take: it may have to ask a directory service.
const PATIENCE: Duration = Duration::from_secs(30);

/// Has a helper write a map of the user namespace of a process that waits for it. The process is ours and not reaped, so
/// its id can't have become another's.
pub(super) fn write(name: &str, directories: &[PathBuf], pid: u32, map: &[IdMap]) -> Result<()> {
    let path = find(name, directories)?;
    let numbers = map.iter().flat_map(|range| [range.inside, range.outside, range.size]);
    let args: Vec<String> = [name.to_owned(), pid.to_string()]
        .into_iter()
        .chain(numbers.map(|number| number.to_string()))
        .collect();
    let said = run(&path, &args)?;
    match said {
        Ok(()) => Ok(()),
        Err(problem) => Err(Error::IdMap(format!("{} could not map ids: {problem}", path.display()))),
    }
}

/// Nothing but absolute directories: where a caller stands must not matter.
fn find(name: &str, directories: &[PathBuf]) -> Result<PathBuf> {
    let absolute = directories.iter().filter(|directory| directory.is_absolute());
    let mut places = absolute.map(|directory| directory.join(name));
    places.find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok()).ok_or_else(|| {
        Error::IdMap(format!(
            "more ids than the caller's own are to be mapped, which needs {name}, and that is not in PATH: install it \
             (Debian and Ubuntu have it in the package uidmap), or map nothing but the own id"
        ))
    })
}

/// Runs it to its end; what it says is the answer if it fails.
fn run(path: &Path, args: &[String]) -> Result<Result<(), String>> {
    let doing = || format!("cannot run {}", path.display());
    let open = |path, flags| openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
    let null = open("/dev/null", OFlags::RDWR).doing(doing)?;
    let root = open("/", OFlags::PATH | OFlags::DIRECTORY).doing(doing)?;
    let said = rustix::fs::memfd_create(c"helper", MemfdFlags::CLOEXEC).doing(doing)?;
    let text = |text: &[u8]| CString::new(text).map_err(|_| Errno::INVAL);
    let args = args.iter().map(|arg| text(arg.as_bytes())).collect::<Result<Vec<_>, _>>().doing(doing)?;
    let program = Program {
        path: &text(path.as_os_str().as_bytes()).doing(doing)?,
        args: &args,
        env: &[],
        directory: root.as_fd(),
        stdio: [null.as_fd(), said.as_fd(), said.as_fd()],
    };
    let pid = program.spawn().doing(doing)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).doing(doing)?;
    let ended = wait_for_end(process.as_fd(), PATIENCE);
    if !ended {
        // Another user's by now, perhaps: then it may not be signalled, and ends by itself.
        let _ = pidfd_send_signal(&process, Signal::KILL);
        return Ok(Err(format!("it has not ended after {} s", PATIENCE.as_secs())));
    }
    let status = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED).doing(doing)?;
    Ok(match status.and_then(|status| status.exit_status()) {
        Some(0) => Ok(()),
        Some(_) => Err(words(&said)),
        None => Err("a signal ended it".into()),
    })
}

fn words(said: &OwnedFd) -> String {
    let mut text = [0; 1024];
    let length = pread(said, &mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default()).trim().to_owned();
    if text.is_empty() { "it does not say why".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(script: &str) -> (PathBuf, String) {
        use std::os::unix::fs::PermissionsExt;
        static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("id-map-helper-{}-{serial}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("newuidmap");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (directory, "newuidmap".into())
    }

    fn write_with(script: &str) -> Result<()> {
        let (directory, name) = helper(script);
        let map =
            [IdMap { inside: 0, outside: 1000, size: 1 }, IdMap { inside: 1, outside: 100_000, size: 9 }];
        let answer = write(&name, std::slice::from_ref(&directory), 77, &map);
        std::fs::remove_dir_all(directory).unwrap();
        answer
    }

    #[test]
    fn it_gets_the_process_and_all_ranges_and_no_environment() {
        let wanted = "77 0 1000 1 1 100000 9";
        write_with(&format!("[ \"$*\" = '{wanted}' ] && [ -z \"$HOME\" ]")).unwrap();
    }

    #[test]
    fn its_words_are_in_the_error() {
        let error = write_with("echo 'range not allowed' >&2; exit 1").unwrap_err().to_string();
        assert!(error.ends_with("newuidmap could not map ids: range not allowed"), "{error}");
        let error = write_with("kill -9 $$").unwrap_err().to_string();
        assert!(error.ends_with("a signal ended it"), "{error}");
    }

    #[test]
    fn it_is_looked_for_in_absolute_directories_alone() {
        let nowhere = find("sh", &["bin".into(), "".into(), ".".into(), "/nonexistent".into()]);
        assert!(nowhere.unwrap_err().to_string().contains("install it"));
        assert_eq!(find("sh", &["bin".into(), "/bin".into()]).unwrap(), Path::new("/bin/sh"));
    }
}
