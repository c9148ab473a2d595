//! The payload that says what it really sees, as one JSON document on standard output.
//!
//! Its only argument is a JSON object of questions: `masked`, `readonly`, `devices`, `sysctls`, `files` and
//! `directories` are lists of paths; `notify` is a list of texts for the service manager; `push` asks to push a key into
//! the terminal; `bare` has it give its capabilities up before it tries system calls. Nothing is taken from a file that a
//! runtime could have prepared when a system call can tell.

#![allow(clippy::disallowed_methods, reason = "a probe may look paths up; it guards nothing")]

mod files;
mod hugepages;
mod hunt;
mod identity;
mod process;
mod syscalls;

use serde_json::{Value, json};

fn main() {
    // Descriptors come first: every later probe opens some.
    let descriptors = files::descriptors();
    if std::env::args().nth(1).as_deref() == Some("hunt") {
        hunt::hunt();
    }
    if std::env::args().nth(1).as_deref() == Some("hugepages") {
        return hugepages::take(
            std::env::args().nth(2).and_then(|word| word.parse().ok()).unwrap_or_default(),
        );
    }
    let question = std::env::args().nth(1).unwrap_or_else(|| String::from("{}"));
    let question: Value = serde_json::from_str(&question).unwrap_or_default();
    let list = |name: &str| -> Vec<String> {
        let paths = question[name].as_array().into_iter().flatten();
        paths.filter_map(|path| path.as_str().map(str::to_owned)).collect()
    };
    let traits = process::traits();
    if question["bare"] == true {
        identity::give_up_capabilities();
    }
    let notified: Vec<bool> = list("notify").iter().map(|text| notify(text)).collect();
    let dump = json!({
        "notified": notified,
        "descriptors": descriptors,
        "ids": identity::ids(),
        "groups": identity::groups(),
        "capabilities": identity::capabilities(),
        "securebits": identity::securebits(),
        "noNewPrivileges": identity::no_new_privileges(),
        "seccomp": files::status("Seccomp"),
        "syscalls": syscalls::probe(),
        "namespaces": files::namespaces(),
        "mounts": files::mounts(),
        "masked": files::each(&list("masked"), files::masked),
        "readonly": files::each(&list("readonly"), files::readonly),
        "devices": files::each(&list("devices"), files::device),
        "sysctls": files::each(&list("sysctls"), files::content),
        "files": files::each(&list("files"), files::describe),
        "directories": files::each(&list("directories"), files::listing),
        "rlimits": process::rlimits(),
        "oomScoreAdj": files::content("/proc/self/oom_score_adj"),
        "affinity": process::affinity(),
        "personality": process::personality(),
        "scheduler": process::scheduler(),
        "memoryPolicy": process::memory_policy(),
        "traits": traits,
        "interfaces": process::interfaces(),
        "timeOffsets": files::content("/proc/self/timens_offsets"),
        "umask": process::umask(),
        "cwd": process::cwd(),
        "env": process::environment(),
        "args": process::arguments(),
        "tty": process::terminals(),
        "pushed": question["push"] == true && process::push(),
        "keyring": process::keyring(),
        "cgroup": files::content("/proc/self/cgroup"),
        "names": process::names(),
        "signals": process::signals(),
        "session": process::session(),
        "label": files::content("/proc/self/attr/current"),
    });
    println!("{dump}");
}

/// Tells the service manager something, as sd_notify(3) does.
fn notify(text: &str) -> bool {
    let socket = std::os::unix::net::UnixDatagram::unbound();
    let told = std::env::var("NOTIFY_SOCKET")
        .ok()
        .and_then(|address| socket.ok()?.send_to(text.as_bytes(), address).ok());
    told == Some(text.len())
}

/// The name of an errno, as in `ENOENT`; the number if it is a rare one.
fn errno_name(errno: i32) -> String {
    let names = [
        (0, "0"),
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ELOOP, "ELOOP"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ENOKEY, "ENOKEY"),
        (libc::EOVERFLOW, "EOVERFLOW"),
    ];
    names
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| errno.to_string(), |(_, name)| (*name).into())
}

/// The errno of the last call of this thread.
fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
