//! `create`: a container whose program waits for `start`.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Session, Verb, id_of, open_bundle};
use crate::args::{container, flag, is_set, path, path_of};
use crate::failure::Failure;
use crate::{absolute, activation, terminal};
use runtime_core::Bundle;
use runtime_core::container::{Console, Container, CreateOptions, Stdio};

pub(super) const VERB: Verb = Verb {
    name: "create",
    about: "Make a container whose program waits for `start`",
    arguments: |table| making(table).arg(container()),
    run,
};

/// The options of all commands that make containers.
pub(super) fn making(table: Command) -> Command {
    table.args([
        path("bundle", "DIR", "The directory with config.json [default: the current one]").short('b'),
        path("console-socket", "SOCKET", "Send the terminal to this socket"),
        path("pidfd-socket", "SOCKET", "Send a pidfd of the container's first process to this socket"),
        path("pid-file", "FILE", "Write the pid of the container's first process to this file"),
        flag("no-pivot", "Change the root without pivot_root, for a host that runs from a ramdisk"),
        flag("no-new-keyring", "Leave the caller's session keyring to the container"),
        Arg::new("preserve-fds")
            .long("preserve-fds")
            .value_name("N")
            .value_parser(value_parser!(u32))
            .help("Hand on N descriptors after the standard streams"),
    ])
}

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let id = id_of(matches)?;
    let options = options(matches, session)?;
    let bundle = open_bundle(&bundle_path(matches)?, session.log)?;
    let options = CreateOptions { console: console(matches, &bundle, true)?, ..options };
    Container::create(&session.make_root()?, &id, &bundle, &options)?;
    Ok(0)
}

/// The bundle that `--bundle` names.
///
/// # Errors
/// There is no current directory.
pub(super) fn bundle_path(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    absolute(path_of(matches, "bundle").map_or(Path::new("."), PathBuf::as_path))
}

/// What the options say. Paths are the caller's, whatever directory the library looks at.
///
/// # Errors
/// They ask for what can't be done.
pub(super) fn options(matches: &ArgMatches, session: &Session<'_>) -> Result<CreateOptions, Failure> {
    Ok(CreateOptions {
        stdio: Stdio::default(),
        no_pivot: is_set(matches, "no-pivot"),
        no_new_keyring: is_set(matches, "no-new-keyring"),
        listen_fds: activation::listen_fds(),
        notify_socket: activation::notify_socket(),
        preserve_fds: matches.get_one("preserve-fds").copied().unwrap_or(0),
        pid_file: path_of(matches, "pid-file").map(|path| absolute(path)).transpose()?,
        pidfd_socket: path_of(matches, "pidfd-socket").map(|path| absolute(path)).transpose()?,
        console: Console::default(),
        driver: session.driver.clone(),
        helper_directories: helper_directories(),
    })
}

/// The directories of PATH, and those where an administrator's programs are.
fn helper_directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/bin", "/bin"].map(PathBuf::from)).collect()
}

/// Who gets the terminal.
///
/// # Errors
/// What is asked for and what the configuration says don't fit.
pub(super) fn console(matches: &ArgMatches, bundle: &Bundle, detached: bool) -> Result<Console, Failure> {
    terminal::console(matches, bundle.spec().wants_terminal(), detached)
}
