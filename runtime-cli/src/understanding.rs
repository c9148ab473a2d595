//! What the command makes of words, without doing anything: for fuzzers.

use std::ffi::OsString;
use std::time::Duration;

use crate::args::{self, Parsed};
use crate::commands::{Verb, exec, kill};
use crate::failure::Failure;
use crate::{activation, compat, duration};

/// Reads the arguments as the command does. Answers the command that they name, unless they ask for help alone, or the
/// sentence and the exit status of the refusal.
///
/// # Errors
/// They don't fit the tables.
pub fn arguments(arguments: &[OsString]) -> Result<Option<&'static str>, (String, u8)> {
    read(arguments).map_err(|failure| (failure.to_string(), failure.status()))
}

fn read(arguments: &[OsString]) -> Result<Option<&'static str>, Failure> {
    let (Parsed::Matches(_), [word, rest @ ..]) = args::split(arguments)? else { return Ok(None) };
    let verb = Verb::named(word)?;
    Ok(match args::parse(verb, rest)? {
        Parsed::Help(_) => None,
        Parsed::Matches(_) => Some(verb.name),
    })
}

/// The user and group of `exec --user`; nothing if it is refused.
pub fn user(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    exec::user(text).ok()
}

/// The signal of `kill`; nothing if there is none.
pub fn signal(text: &str) -> Option<i32> {
    kill::number(text)
}

/// A duration; nothing if it is none.
pub fn time(text: &str) -> Option<Duration> {
    duration::parse(text).ok()
}

/// A size in bytes; nothing if it is none.
pub fn size(text: &str) -> Option<i64> {
    compat::parse_bytes(text).ok()
}

/// How many sockets `LISTEN_FDS` hands over to the process `me`, if `LISTEN_PID` is this.
pub fn sockets(listen_fds: &str, listen_pid: &str, me: u32) -> u32 {
    activation::count(listen_fds, listen_pid.parse().ok(), me)
}
