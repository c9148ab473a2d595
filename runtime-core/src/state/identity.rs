//! Which process a number meant when it was written down.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};

/// A process, so that neither a reused number nor a reboot can be mistaken for it. No clock that can be set is
/// involved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks since the machine was.
    pub start_time: u64,
    /// The kernel's name for the time between two starts of the machine.
    pub boot_id: String,
}

impl Identity {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none, or `/proc` can't be read.
    pub fn of(pid: Pid) -> Result<Self> {
        let pid = pid.as_raw_pid();
        let stat = Stat::of(pid).and_then(|stat| stat.ok_or(Errno::SRCH));
        let start_time = stat.doing(|| format!("cannot read /proc/{pid}/stat"))?.start_time;
        Ok(Identity { pid, start_time, boot_id: boot_id()?.to_owned() })
    }

    /// The process itself, to wait for it and to send it signals; `None` if it is gone, which a zombie is.
    ///
    /// # Errors
    /// `/proc` can't be read, or there are no descriptors left.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        // A damaged file may say anything.
        let Some(pid) = Pid::from_raw(self.pid.max(0)) else { return Ok(None) };
        let Some(pidfd) = handle(pid)? else { return Ok(None) };
        // Looked at after opening: what the descriptor refers to can't change any more.
        Ok(self.is_alive()?.then_some(pidfd))
    }

    /// Whether it still runs. A zombie doesn't.
    ///
    /// # Errors
    /// `/proc` can't be read, or there are no descriptors left.
    pub fn is_alive(&self) -> Result<bool> {
        if self.pid <= 0 || self.boot_id != boot_id()? {
            return Ok(false);
        }
        let stat = || Stat::of(self.pid).doing(|| format!("cannot read /proc/{}/stat", self.pid));
        let stat = match stat()? {
            // Between the two looks the number may have been given to somebody else.
            None if self.is_there() => stat()?.ok_or_else(|| self.hidden())?,
            None => return Ok(false),
            Some(stat) => stat,
        };
        Ok(self.began_at(stat.start_time) && !stat.ended())
    }

    /// Whether there is a process with this number that takes our signals.
    fn is_there(&self) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok())
    }

    /// It is not taken for dead because nothing is seen of it: its container would be forgotten while it lives.
    fn hidden(&self) -> Error {
        let pid = self.pid;
        let doing =
            format!("process {pid} of the container is there, but /proc/{pid} isn't: is a procfs on /proc?");
        Error::System { doing, errno: Errno::NOENT }
    }
}

impl Identity {
    /// How it ended, as `wait` would tell it, while it is a zombie that nobody has reaped. `None` otherwise, and for those
    /// who may not know.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub(crate) fn zombie_status(&self) -> Result<Option<i32>> {
        // To anybody else the kernel says 0, whatever it was.
        if !rustix::process::geteuid().is_root() || self.pid <= 0 || self.boot_id != boot_id()? {
            return Ok(None);
        }
        let stat = Stat::of(self.pid).doing(|| format!("cannot read /proc/{}/stat", self.pid))?;
        let ours = stat.filter(|stat| self.began_at(stat.start_time) && stat.ended());
        Ok(ours.map(|stat| stat.exit_code))
    }

    /// Whether a process that seems to have been started then is this one. Seen from a time namespace, all start times
    /// are shifted.
    fn began_at(&self, seen: u64) -> bool {
        let shifted = || self.start_time.checked_add_signed(boot_offset()? * TICKS_PER_SECOND);
        seen == self.start_time || shifted() == Some(seen)
    }
}

/// The kernel's unit for start times, whatever its own clock is.
const TICKS_PER_SECOND: i64 = 100;

/// How many whole seconds the time since the start of the machine is shifted by for us.
fn boot_offset() -> Option<i64> {
    let mut text = [0; 128];
    let text = str::from_utf8(read_line("/proc/self/timens_offsets", &mut text).ok()?).ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("boottime"))?.split_whitespace().next()?;
    seconds.parse().ok().filter(|&seconds: &i64| seconds != 0)
}

/// The process that has this number now, or nothing.
///
/// # Errors
/// There are no descriptors left, or the call is missing.
pub(crate) fn handle(pid: Pid) -> Result<Option<OwnedFd>> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        // The number is free, or belongs to a thread by now.
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        pidfd => pidfd.map(Some).doing(|| format!("cannot open process {pid}")),
    }
}

// It can't change while this process lives.
fn boot_id() -> Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let mut line = [0; 64];
    let id = read_line(path, &mut line).and_then(|line| str::from_utf8(line).map_err(|_| Errno::IO));
    let id = id.doing(|| format!("cannot read {path}"))?.trim_end();
    Ok(BOOT_ID.get_or_init(|| id.to_owned()))
}

/// Reads a file of `/proc` whose content is a single line shorter than the buffer, which one call returns whole.
fn read_line<'a>(path: &str, line: &'a mut [u8]) -> rustix::io::Result<&'a [u8]> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = read(file, &mut *line)?;
    Ok(line.get(..length).unwrap_or_default())
}

/// The fields of `/proc/PID/stat` that matter.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    start_time: u64,
    exit_code: i32,
}

impl Stat {
    fn of(pid: i32) -> rustix::io::Result<Option<Stat>> {
        // The longest possible line has less than 1200 bytes.
        let mut line = [0; 2048];
        match read_line(&format!("/proc/{pid}/stat"), &mut line) {
            Err(Errno::NOENT | Errno::SRCH) => Ok(None),
            Err(errno) => Err(errno),
            Ok(line) => Stat::parse(line).map(Some).ok_or(Errno::IO),
        }
    }

    // The second field is a name in parentheses that its process chooses; it may contain spaces, parentheses, line
    // ends and whole imitations of the other fields, but these contain no parenthesis.
    fn parse(line: &[u8]) -> Option<Stat> {
        let name_end = line.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(line.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        // The state is field 3, the start time is field 22, the exit code is field 52.
        let start_time = fields.nth(22 - 4)?.parse().ok()?;
        let exit_code = fields.nth(52 - 23)?.parse().ok()?;
        Some(Stat { state, start_time, exit_code })
    }

    fn ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{geteuid, getpid};

    use super::*;

    fn stat(name: &str, state: char) -> String {
        let numbers =
            |fields: std::ops::Range<i32>| fields.map(|field| format!("{field} ")).collect::<String>();
        format!("77 ({name}) {state} {}123456 {}768\n", numbers(4..22), numbers(23..52))
    }

    fn child() -> (Child, Identity) {
        let child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let identity = Identity::of(Pid::from_child(&child)).unwrap();
        (child, identity)
    }

    #[test]
    fn a_hostile_name_is_not_taken_for_fields() {
        for name in ["cat", "", "a b", "x) Z 1 2", ") S 1 2 3 (", "\n) R"] {
            let parsed = Stat::parse(stat(name, 'S').as_bytes());
            assert_eq!(parsed, Some(Stat { state: b'S', start_time: 123_456, exit_code: 768 }), "{name:?}");
        }
        assert_eq!(Stat::parse("7 (é".as_bytes()), None);
        assert_eq!(Stat::parse(b"7 (cat) S 1 2"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn both_ends_of_a_life_count_as_ended() {
        let ended = |state| Stat::parse(stat("x", state).as_bytes()).unwrap().ended();
        assert!(ended('Z') && ended('X') && !ended('S') && !ended('T') && !ended('D'));
    }

    #[test]
    fn this_process_is_alive_and_itself() {
        let me = Identity::of(getpid()).unwrap();
        assert_eq!(me, Identity::of(getpid()).unwrap());
        assert!(me.is_alive().unwrap() && me.open().unwrap().is_some());
    }

    #[test]
    fn another_start_time_or_boot_is_another_process() {
        let me = Identity::of(getpid()).unwrap();
        let reused = Identity { start_time: me.start_time - 1, ..me.clone() };
        let rebooted = Identity { boot_id: "another".into(), ..me.clone() };
        for stranger in [reused, rebooted, Identity { pid: 0, ..me.clone() }, Identity { pid: -1, ..me }] {
            assert!(!stranger.is_alive().unwrap(), "{stranger:?}");
            assert!(stranger.open().unwrap().is_none(), "{stranger:?}");
        }
    }

    #[test]
    fn a_zombie_is_gone_and_so_is_a_reaped_process() {
        let (mut child, identity) = child();
        let pidfd = identity.open().unwrap().unwrap();
        child.stdin.take().unwrap().flush().unwrap();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
        assert_eq!(Stat::of(identity.pid).unwrap().unwrap().state, b'Z');
        assert_eq!(identity.zombie_status().unwrap(), geteuid().is_root().then_some(0));
        assert!(!identity.is_alive().unwrap() && identity.open().unwrap().is_none());
        child.wait().unwrap();
        assert_eq!(identity.zombie_status().unwrap(), None);
        assert!(!identity.is_alive().unwrap() && identity.open().unwrap().is_none());
        let error = Identity::of(Pid::from_raw(identity.pid).unwrap()).unwrap_err().to_string();
        assert_eq!(error, format!("cannot read /proc/{}/stat: no such process", identity.pid));
    }
}
