//! Somebody who has logged in: `keeper`, whom guests know, in a session of logind, with a systemd of his own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde_json::{Value, json};

use crate::command::claim;
use crate::leaks::soon;

/// His name.
pub const NAME: &str = "keeper";

/// His id, and that of his group.
pub const UID: u32 = 1000;

/// The first of his sub-ids, of which there are [`SUBIDS`].
pub const SUBID: u32 = 300_000;

/// How many sub-ids he has.
pub const SUBIDS: u32 = 65_536;

/// How long his systemd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// His session, which lasts as long as this program.
#[derive(Debug)]
pub struct Login {
    /// The cgroup of the session.
    procs: File,
    /// Its first process, which reads from this program and so ends with it.
    _session: Child,
}

impl Login {
    /// Logs him in, unless there is a reason why that can't be done here.
    ///
    /// # Errors
    /// The reason.
    ///
    /// # Panics
    /// When he can't log in all the same.
    pub fn get() -> Result<&'static Self, &'static str> {
        static LOGIN: OnceLock<Login> = OnceLock::new();
        match () {
            () if !Path::new("/run/systemd/system").is_dir() => Err("no systemd"),
            () if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() => {
                Err("systemd gives no controllers of version 1 to users")
            }
            () if !is_known() => Err("nobody who could log in"),
            () => Ok(LOGIN.get_or_init(Self::new)),
        }
    }

    /// A busy machine's logind may answer too late, and then he is let in without a session.
    fn new() -> Self {
        const ATTEMPTS: usize = 3;
        let (cgroup, session) = (0..ATTEMPTS).find_map(|_| log_in()).expect("logind makes a session");
        let bus = || Path::new(&format!("{}/bus", run_directory())).exists().then_some(());
        soon(PATIENCE, bus).expect("the systemd of a user comes up");
        let procs = File::options().write(true).open(format!("/sys/fs/cgroup{cgroup}/cgroup.procs"));
        Self { procs: procs.expect("a session takes processes"), _session: session }
    }

    /// What a process with one thread calls to become him.
    ///
    /// # Panics
    /// When there are no descriptors left.
    pub fn entrance(&self) -> impl Fn() -> io::Result<()> + Send + Sync + 'static {
        let procs = self.procs.try_clone().expect("a descriptor can be copied");
        move || {
            rustix::io::write(&procs, b"0")?;
            let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(UID));
            set_thread_groups(&[])?;
            set_thread_res_gid(gid, gid, gid)?;
            Ok(set_thread_res_uid(uid, uid, uid)?)
        }
    }
}

/// The first process of a session, and the session's cgroup, unless it has none.
fn log_in() -> Option<(String, Child)> {
    let mut session = Command::new("runuser")
        .args(["--login", NAME, "--command", "echo $$; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runuser can be run");
    claim(session.id().cast_signed());
    let mut said = String::new();
    let output = session.stdout.take().expect("it is a pipe");
    BufReader::new(output).read_line(&mut said).expect("a pipe can be read");
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", said.trim())).expect("the session began");
    let cgroup = cgroup.trim().trim_start_matches("0::").to_owned();
    cgroup.contains("/session-").then_some((cgroup, session))
}

/// What his session has told his commands.
pub fn environment() -> [(&'static str, String); 4] {
    [
        ("HOME", home()),
        ("USER", NAME.into()),
        ("XDG_RUNTIME_DIR", run_directory()),
        ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}/bus", run_directory())),
    ]
}

/// Where he lives.
pub fn home() -> String {
    format!("/home/{NAME}")
}

/// The cgroup that his systemd has been given.
pub fn cgroup() -> String {
    format!("user.slice/user-{UID}.slice/user@{UID}.service")
}

/// Where his programs keep what lasts as long as he is logged in.
pub fn run_directory() -> String {
    format!("/run/user/{UID}")
}

fn is_known() -> bool {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| line.starts_with(&format!("{NAME}:x:{UID}:")))
}

/// All his ids, from 0 on.
pub fn ids() -> Value {
    json!([{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": SUBID, "size": SUBIDS}])
}
