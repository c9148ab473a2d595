//! Deliberate quirks of runc and its callers, each with its reason.

use std::env;
use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Mode;

use crate::failure::Failure;
use runtime_core::Error;
use runtime_core::cgroup::Bus;
use runtime_core::error::Wanted;

const DEFAULT_ROOT: &str = "/run/runtime";

/// RUNC-COMPAT: engines hand on what Go's `ParseBool` understands.
pub(crate) fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("true or false is wanted"),
    }
}

/// RUNC-COMPAT: `--rootless` is checked and not needed: what a caller may do is found out by trying.
pub(crate) fn parse_rootless(text: &str) -> Result<Option<bool>, &'static str> {
    match text {
        "auto" | "" => Ok(None),
        text => parse_bool(text).map(Some).map_err(|_| "true, false or auto is wanted"),
    }
}

/// RUNC-COMPAT: sizes are written as for Docker: a number, a binary unit in any case (`k`, `kb` and `kib` are the same),
/// or -1 for no limit.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, String> {
    const UNITS: [&str; 6] = ["", "k", "m", "g", "t", "p"];
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.trim_end().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let unit = unit.trim_start();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit);
    let power = UNITS.iter().zip(0..).find(|(known, _)| **known == unit).map(|(_, power)| power);
    let bytes = power.and_then(|power| scaled(number, power));
    bytes.ok_or_else(|| "a size such as 512M or 1.5g is wanted, or -1".into())
}

fn scaled(number: &str, power: u32) -> Option<i64> {
    if let Ok(number) = number.parse::<i64>() {
        return number.checked_mul(1024i64.pow(power));
    }
    let bytes = number.parse::<f64>().ok()? * 1024i64.pow(power) as f64;
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

/// RUNC-COMPAT: users know failures of these commands by their prefix; the others have none.
pub(crate) fn prefix(verb: &str) -> &'static str {
    match verb {
        "create" => "runtime create failed: ",
        "run" => "runtime run failed: ",
        "exec" => "exec failed: ",
        _ => "",
    }
}

/// RUNC-COMPAT: a failure of `exec` itself can be told from one of its program.
pub(crate) fn failure_status(verb: &str) -> u8 {
    if verb == "exec" { 255 } else { 1 }
}

/// RUNC-COMPAT: engines send `kill --all` to sweep up what may remain, and don't expect it to complain that nothing
/// does.
///
/// # Errors
/// `answer`, apart from that.
pub(crate) fn kill_answer(answer: Result<(), Error>, all: bool) -> Result<(), Error> {
    match answer {
        Err(Error::Status { wanted: Wanted::Kill, .. }) if all => Ok(()),
        answer => answer,
    }
}

/// The state root when `--root` is not given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DefaultRoot {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Whether it is below `XDG_RUNTIME_DIR`.
    pub(crate) private: bool,
}

/// RUNC-COMPAT: users other than root keep their containers below `XDG_RUNTIME_DIR`, and so does the root of a user
/// namespace unless `USER` says that root himself went there.
pub(crate) fn default_root() -> DefaultRoot {
    match runtime_directory() {
        Some(directory) if !is_real_root() => DefaultRoot { path: directory.join("runtime"), private: true },
        _ => DefaultRoot { path: DEFAULT_ROOT.into(), private: false },
    }
}

fn runtime_directory() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from)
}

fn is_real_root() -> bool {
    let user_is_root = env::var_os("USER").is_some_and(|user| user == "root");
    rustix::process::geteuid().is_root() && (user_is_root || !in_user_namespace())
}

/// RUNC-COMPAT: users other than root let their own systemd make cgroups, at the address of their session's bus.
pub(crate) fn systemd() -> Bus {
    if is_real_root() {
        return Bus::System;
    }
    let session = env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|address| !address.is_empty());
    let user = || PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
    let directory = runtime_directory().unwrap_or_else(user);
    let directory = directory.display();
    let bus = session.unwrap_or_else(|| format!("unix:path={directory}/bus"));
    Bus::User(format!("{bus};unix:path={directory}/systemd/private"))
}

/// What an ordinary user can do who has no place for state.
pub(crate) fn advise(error: Error, root: &DefaultRoot) -> Failure {
    match root.private || rustix::process::geteuid().is_root() {
        true => error.into(),
        false => Failure::Refused(format!("{error}; set XDG_RUNTIME_DIR, as a login does, or give --root")),
    }
}

// The first user namespace maps all ids to themselves.
fn in_user_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !maps_everything(&map))
}

fn maps_everything(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// RUNC-COMPAT: the sticky bit tells cleaners of `XDG_RUNTIME_DIR` to leave a directory alone. Without it they do what
/// they do, which is no reason to fail.
pub(crate) fn keep_from_cleaners(path: &Path) {
    let _ = rustix::fs::chmod(path, Mode::RWXU | Mode::SVTX);
}

/// RUNC-COMPAT: `--root` is made absolute, and may not be the root directory, below which everything would look like a
/// container.
///
/// # Errors
/// The path is `/` or empty.
pub(crate) fn given_root(path: &Path) -> Result<PathBuf, Failure> {
    let path = crate::absolute(path)?;
    if path.components().any(|part| matches!(part, Component::Normal(_))) {
        return Ok(path);
    }
    Err(Failure::Usage("option --root must not be /: give a directory of its own for the state".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_go() {
        assert_eq!(["1", "t", "T", "true", "TRUE", "True"].map(parse_bool), [Ok(true); 6]);
        assert_eq!(["0", "f", "F", "false", "FALSE", "False"].map(parse_bool), [Ok(false); 6]);
        assert!(["yes", "", "tRUE"].iter().all(|text| parse_bool(text).is_err()));
        assert_eq!(["auto", ""].map(parse_rootless), [Ok(None); 2]);
        assert_eq!(parse_rootless("1"), Ok(Some(true)));
        assert!(parse_rootless("maybe").is_err());
    }

    #[test]
    fn sizes_are_those_of_docker() {
        for (text, bytes) in [
            ("-1", -1),
            ("0", 0),
            ("1024", 1024),
            ("32M", 32 << 20),
            ("32 MiB", 32 << 20),
            ("1g", 1 << 30),
            ("1.5Gb", 3 << 29),
            ("2tb", 2 << 40),
            ("7b", 7),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "-2", "M", "1x", "1mm", "1 2", "0x10", "1e3", "99999999p", "1.2.3", "inf", "nan"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_root_directory_is_refused_in_every_disguise() {
        for root in ["/", "//", "/.", "/../", ""] {
            assert!(given_root(Path::new(root)).is_err(), "{root:?}");
        }
        assert_eq!(given_root(Path::new("/run//x/")).unwrap(), Path::new("/run/x"));
        let here = env::current_dir().unwrap();
        assert_eq!(given_root(Path::new("x")).unwrap(), here.join("x"));
    }

    #[test]
    fn only_the_first_user_namespace_maps_everything() {
        assert!(maps_everything("         0          0 4294967295\n"));
        assert!(!maps_everything("0 1000 1\n1 100000 65536\n"));
    }
}
