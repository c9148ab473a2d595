//! The `runtime` command: what runc's users type, brought to the library. It is a library too, so that what it makes of
//! its arguments can be fuzzed.
#![deny(unsafe_code)]

mod activation;
mod args;
mod commands;
mod compat;
mod doctor;
mod duration;
mod failure;
mod log;
mod naming;
mod output;
mod terminal;
#[doc(hidden)]
pub mod understanding;
mod version;

use std::env;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;

use args::Parsed;
use commands::{Session, Verb};
use failure::Failure;
use log::Log;
use runtime_core::error::Context;
use runtime_core::signals::heed_children;

/// Does what the arguments of this process say; the answer is its exit status.
pub fn command() -> u8 {
    open_standard_streams();
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let mut log = Log::to_stderr();
    if runtime_core::has_more_privileges_than_caller() {
        log.error("a runtime does what it is told: it must not have privileges that its caller hasn't (set-user-ID bit, file capabilities)");
        return 1;
    }
    heed_children();
    match obey(&arguments, &mut log) {
        Ok(status) => status,
        Err(failure) => {
            log.error(&failure.to_string());
            failure.status()
        }
    }
}

/// Whatever a caller closed of the standard streams becomes the null device: no file that is opened later may be taken
/// for one of them.
fn open_standard_streams() {
    while let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let is_stream = null.as_raw_fd() <= 2;
        if is_stream {
            let _ = rustix::io::fcntl_setfd(&null, FdFlags::empty());
        }
        // It stays open to the end, like the streams themselves.
        let _ = null.into_raw_fd();
        if !is_stream {
            return;
        }
    }
}

// From the moment when the log is open, a failure is recorded there too.
fn obey(arguments: &[OsString], log: &mut Log) -> Result<u8, Failure> {
    let (globals, rest) = match args::split(arguments)? {
        (Parsed::Help(text), _) => return say(&text),
        (Parsed::Matches(globals), rest) => (globals, rest),
    };
    if args::is_set(&globals, "version") {
        return say(&version::text());
    }
    *log = open_log(&globals)?;
    log.debug(|| format!("runtime {}: {arguments:?}", version::VERSION));
    let session = Session::new(&globals, log)?;
    match rest {
        [] => say(&args::help()),
        [word, rest @ ..] if word == "help" || word == "h" => help(rest),
        [word, rest @ ..] => {
            let verb = Verb::named(word)?;
            match args::parse(verb, rest)? {
                Parsed::Help(text) => say(&text),
                Parsed::Matches(matches) => {
                    (verb.run)(&matches, &session).map_err(|failure| failure.of(verb.name))
                }
            }
        }
    }
}

fn open_log(globals: &ArgMatches) -> Result<Log, Failure> {
    let format = args::text_of(globals, "log-format").parse()?;
    let debug = args::is_set(globals, "debug") || args::text_of(globals, "log-level") == "debug";
    Log::open(args::path_of(globals, "log").map(PathBuf::as_path), format, debug)
}

fn help(words: &[OsString]) -> Result<u8, Failure> {
    match words {
        [] => say(&args::help()),
        [word, ..] => say(&args::command(Verb::named(word)?).render_help().to_string()),
    }
}

fn say(text: &str) -> Result<u8, Failure> {
    output::print(text).map(|()| 0)
}

/// A path from the caller, independent of the working directory. Links and `..` stay: the kernel resolves them when
/// the path is used.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path);
    Ok(absolute.doing(|| format!("cannot make {:?} an absolute path", path.display().to_string()))?)
}
